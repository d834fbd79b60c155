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
{{- range $name, $value := $v.proxy }}{{ if regexMatch "//[^/]*@" (toString $value) }}{{ $wrong = append $wrong (printf "proxy.%s holds a password; give %s_PROXY in extraEnv with valueFrom.secretKeyRef" $name (upper $name)) }}{{ end }}{{ end -}}
{{- range $name, $value := $v.extraEnv -}}
{{- if hasPrefix "FINETUNE_" $name }}{{ $wrong = append $wrong (printf "extraEnv.%s: a setting of the job; put it into config" $name) }}{{ end -}}
{{- if and (kindIs "string" $value) (or (and (regexMatch "(?i)(secret|token|password|passwd|credential|access_key|api_key|private_key)" $name) (not (regexMatch "(?i)_(file|path|dir|url|uri)$" $name))) (regexMatch "^(AKIA|ASIA|hf_|ghp_|sk-)[A-Za-z0-9]{12,}" $value) (regexMatch "//[^/]+:[^/]+@" $value)) }}{{ $wrong = append $wrong (printf "extraEnv.%s looks like a secret; put it into a Secret and refer to it with valueFrom.secretKeyRef" $name) }}{{ end -}}
{{- end -}}
{{- if $wrong }}{{ fail (printf "\n\nThe values do not go together:\n  - %s\n" (join "\n  - " $wrong)) }}{{ end -}}
{{- end }}
