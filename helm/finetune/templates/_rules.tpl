{{/* What no single value can see; the rest is in values.schema.json and in the job's own settings. */}}
{{- define "finetune.rules" -}}
{{- $v := .Values -}}
{{- $wrong := list -}}
{{- if eq (toString $v.image.tag) "latest" }}{{ $wrong = append $wrong "image.tag: latest is another image every day; name a version, or image.digest" }}{{ end -}}
{{- range $section, $names := dict "runtime" (list "nodes" "node" "processes" "address" "grace_seconds" "env" "scratch" "termination_log") "metrics" (list "port") "progress" (list "annotate") "launch" (list "manifests" "owner" "release" "force" "max_age" "prepare") -}}
{{- $given := get $v.config $section | default dict -}}
{{- range $names }}{{ if hasKey $given . }}{{ $wrong = append $wrong (printf "config.%s.%s: the chart sets it from its own values; unset it" $section .) }}{{ end }}{{ end -}}
{{- end -}}
{{- if and $v.schedule $v.config.run_id }}{{ $wrong = append $wrong "config.run_id: each scheduled run has an id of its own; unset it" }}{{ end -}}
{{- if and $v.schedule $v.rerun }}{{ $wrong = append $wrong "rerun: has no meaning with a schedule; set launch.force" }}{{ end -}}
{{- if and (eq $v.queue.kind "kueue") (eq $v.backend "volcano") }}{{ $wrong = append $wrong "queue.kind kueue does not queue Volcano's Jobs; use backend job, jobset or trainjob" }}{{ end -}}
{{- if and (eq $v.queue.kind "volcano") (ne $v.backend "volcano") }}{{ $wrong = append $wrong (printf "queue.kind volcano queues Volcano's Jobs alone; set backend to volcano, which is %s" $v.backend) }}{{ end -}}
{{- if and (ne $v.queue.kind "none") (not $v.queue.name) }}{{ $wrong = append $wrong (printf "queue.name: name the queue of %s" $v.queue.kind) }}{{ end -}}
{{- if and $v.queue.topology (ne $v.queue.kind "kueue") }}{{ $wrong = append $wrong "queue.topology is Kueue's; set queue.kind to kueue, or use affinity" }}{{ end -}}
{{- if and $v.launch.admissionPolicy (ne $v.backend "job") }}{{ $wrong = append $wrong "launch.admissionPolicy knows backend job alone" }}{{ end -}}
{{- if and $v.caBundle.configMap $v.caBundle.secret }}{{ $wrong = append $wrong "caBundle: a ConfigMap or a Secret, not both" }}{{ end -}}
{{- if and $v.networkPolicy.storeCIDRs (or $v.schedule $v.progress.enabled) (not $v.networkPolicy.apiServerCIDRs) }}{{ $wrong = append $wrong "networkPolicy.apiServerCIDRs: launchers and progress talk to the API server; name its addresses" }}{{ end -}}
{{- if and (eq $v.queue.kind "kueue") (or $v.nodeSelector $v.tolerations) }}{{ $wrong = append $wrong "nodeSelector and tolerations: Kueue sets them by the ResourceFlavor, and an upgrade would contend with it; put them there" }}{{ end -}}
{{- if and $v.deadlineSeconds (eq $v.backend "volcano") }}{{ $wrong = append $wrong "deadlineSeconds: Volcano's Jobs know none; set config.train.max_runtime" }}{{ end -}}
{{- range $name := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" }}{{ if hasKey $v.podLabels $name }}{{ $wrong = append $wrong (printf "podLabels.%s: pods are found by it; leave it to the chart" $name) }}{{ end }}{{ end -}}
{{- range $name, $value := $v.podAnnotations }}{{ if hasPrefix "finetune/" $name }}{{ $wrong = append $wrong (printf "podAnnotations.%s: pods read it; leave it to the chart" $name) }}{{ end }}{{ end -}}
{{- $userInfo := "//[^/@\\s\"]+:[^/@\\s\"]*@" -}}
{{- if regexMatch (printf "%s|[?&](X-Amz-Signature|Signature|sig|AWSAccessKeyId)=" $userInfo) (toJson $v.config | replace "\\u0026" "&") }}{{ $wrong = append $wrong "config holds a URI with a password or a signature; give that setting as FINETUNE_… in extraEnv, with valueFrom.secretKeyRef" }}{{ end -}}
{{- range $name, $value := dict "s3.endpoint" $v.s3.endpoint "huggingface.endpoint" $v.huggingface.endpoint "proxy.http" $v.proxy.http "proxy.https" $v.proxy.https }}{{ if regexMatch "//[^/]*@" $value }}{{ $wrong = append $wrong (printf "%s holds a password; give its variable in extraEnv with valueFrom.secretKeyRef" $name) }}{{ end }}{{ end -}}
{{- $own := include "finetune.ownVariables" . | fromJsonArray -}}
{{- range $name, $value := $v.extraEnv -}}
{{- if has $name $own }}{{ $wrong = append $wrong (printf "extraEnv.%s: the chart sets it from a value of its own" $name) }}{{ end -}}
{{- if not (kindIs "map" $value) -}}
{{- $text := include "finetune.text" $value -}}
{{- if hasPrefix "FINETUNE_" $name }}{{ $wrong = append $wrong (printf "extraEnv.%s: a setting of the job; put it into config" $name) }}
{{- else if or (and (regexMatch "(?i)(^|_)(secret|token|password|passwd|pwd|credentials?|access_key|api_key|private_key)(_|$)" $name) (not (regexMatch "(?i)_(file|path|dir|url|uri)$" $name))) (regexMatch "^(AKIA|ASIA|hf_|ghp_|sk-)[A-Za-z0-9]{12,}" $text) (regexMatch $userInfo $text) }}{{ $wrong = append $wrong (printf "extraEnv.%s looks like a secret; put it into a Secret and refer to it with valueFrom.secretKeyRef" $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $wrong }}{{ fail (printf "\n\nThe values do not go together:\n  - %s\n" (join "\n  - " $wrong)) }}{{ end -}}
{{- end }}

{{/* The names of variables that pods have by other values. */}}
{{- define "finetune.ownVariables" -}}
{{- $names := list "FINETUNE_CONFIG" "FINETUNE_RUN_ID" "FINETUNE_RUNTIME__GRACE_SECONDS" "WORKLOAD" -}}
{{- if .Values.s3.endpoint }}{{ $names = append $names "AWS_ENDPOINT_URL" }}{{ end -}}
{{- if .Values.s3.region }}{{ $names = concat $names (list "AWS_REGION" "AWS_DEFAULT_REGION") }}{{ end -}}
{{- if .Values.huggingface.endpoint }}{{ $names = append $names "HF_ENDPOINT" }}{{ end -}}
{{- if .Values.huggingface.offline }}{{ $names = append $names "HF_HUB_OFFLINE" }}{{ end -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}{{ $names = concat $names (list "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE") }}{{ end -}}
{{- if .Values.proxy.http }}{{ $names = concat $names (list "HTTP_PROXY" "http_proxy") }}{{ end -}}
{{- if .Values.proxy.https }}{{ $names = concat $names (list "HTTPS_PROXY" "https_proxy") }}{{ end -}}
{{- if include "finetune.proxied" . }}{{ $names = concat $names (list "NO_PROXY" "no_proxy") }}{{ end -}}
{{- toJson $names -}}
{{- end }}

{{/* Whether some proxy is set, here or by reference. */}}
{{- define "finetune.proxied" -}}
{{- if or .Values.proxy.http .Values.proxy.https (hasKey .Values.extraEnv "HTTP_PROXY") (hasKey .Values.extraEnv "HTTPS_PROXY") }}true{{ end -}}
{{- end }}
