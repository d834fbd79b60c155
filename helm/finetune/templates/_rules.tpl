{{/* Mistakes across values. Those in a single one are found by values.schema.json, those across settings
     by the job itself. */}}
{{- define "finetune.rules" -}}
{{- with include "finetune.mistakes" . | trim }}
{{- fail (printf "\n\nThe values contradict each other:\n  - %s\n" (replace "\n" "\n  - " .)) }}
{{- end }}
{{- end }}

{{/* One line a mistake. */}}
{{- define "finetune.mistakes" -}}
{{- $v := .Values -}}
{{- if eq (toString $v.image.tag) "latest" }}
image.tag: latest changes from day to day; name a version, or set image.digest
{{- end }}
{{- include "finetune.mistakes.config" . }}
{{- include "finetune.mistakes.queue" . }}
{{- if and $v.launch.admissionPolicy (ne $v.backend "job") }}
launch.admissionPolicy supports only backend job
{{- end }}
{{- if and $v.caBundle.configMap $v.caBundle.secret }}
caBundle: set configMap or secret, not both
{{- end }}
{{- $asksTheServer := or $v.schedule $v.progress.enabled }}
{{- if and $v.networkPolicy.storeCIDRs $asksTheServer (not $v.networkPolicy.apiServerCIDRs) }}
networkPolicy.apiServerCIDRs: launchers and progress need the API server; list its addresses
{{- end }}
{{- if and $v.deadlineSeconds (eq $v.backend "volcano") }}
deadlineSeconds: Volcano's Jobs have none; set config.train.max_runtime
{{- end }}
{{- $context := $v.podSecurityContext }}
{{- $root := or (not (dig "runAsNonRoot" true $context)) (eq (toString (dig "runAsUser" 1 $context)) "0") }}
{{- $seccomp := dig "seccompProfile" "type" "RuntimeDefault" $context }}
{{- if or $root (not (has $seccomp (list "RuntimeDefault" "Localhost"))) }}
podSecurityContext: pods run as no root and with a seccomp profile, as the restricted standard asks; remove it
{{- end }}
{{- range $name := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" }}
{{- if hasKey $v.podLabels $name }}
podLabels.{{ $name }}: pods are found by it; remove it
{{- end }}
{{- end }}
{{- range $name, $value := $v.podAnnotations }}
{{- if hasPrefix "finetune/" $name }}
podAnnotations.{{ $name }}: the chart sets these for the job; remove it
{{- end }}
{{- end }}
{{- include "finetune.mistakes.webhook" . }}
{{- include "finetune.mistakes.secrets" . }}
{{- include "finetune.mistakes.env" . }}
{{- end }}

{{- define "finetune.mistakes.config" -}}
{{- $v := .Values -}}
{{- $own := dict
  "launch" (list "manifests" "owner" "release" "force" "max_age" "prepare")
  "metrics" (list "port")
  "progress" (list "annotate")
  "publish" (list "webhook_secret")
  "runtime" (list "nodes" "node" "processes" "address" "peer_token" "grace_seconds" "env" "scratch"
    "termination_log") -}}
{{- range $section, $names := $own }}
{{- range $names }}
{{- if hasKey (get $v.config $section | default dict) . }}
config.{{ $section }}.{{ . }}: the chart sets it from its own values; remove it
{{- end }}
{{- end }}
{{- end }}
{{- if and $v.schedule $v.config.run_id }}
config.run_id: each scheduled run has an id of its own; remove it
{{- end }}
{{- if and $v.schedule $v.rerun }}
rerun: means nothing with a schedule; set launch.force
{{- end }}
{{- end }}

{{- define "finetune.mistakes.webhook" -}}
{{- $v := .Values -}}
{{- $secret := or $v.webhook.existingSecret (hasKey $v.extraEnv "FINETUNE_PUBLISH__WEBHOOK_SECRET") -}}
{{- if or (dig "publish" "webhook" "" $v.config) (hasKey $v.extraEnv "FINETUNE_PUBLISH__WEBHOOK") }}
{{- if not $secret }}
webhook.existingSecret: what config.publish.webhook is told is signed; name a Secret that holds the key
{{- end }}
{{- $network := $v.networkPolicy }}
{{- $open := or $network.webhookCIDRs $network.proxyCIDRs (has "hub" $network.presets) (has "irsa" $network.presets) }}
{{- if and $network.storeCIDRs (not $open) }}
networkPolicy.webhookCIDRs: config.publish.webhook cannot be reached; list its addresses
{{- end }}
{{- end }}
{{- end }}

{{- define "finetune.mistakes.queue" -}}
{{- $v := .Values -}}
{{- $kind := $v.queue.kind -}}
{{- if and (eq $kind "kueue") (eq $v.backend "volcano") }}
queue.kind: Kueue does not queue Volcano's Jobs; set backend to job, jobset or trainjob
{{- end }}
{{- if and (eq $kind "volcano") (ne $v.backend "volcano") }}
queue.kind: Volcano queues only its own Jobs; set backend to volcano instead of {{ $v.backend }}
{{- end }}
{{- if and (ne $kind "none") (not $v.queue.name) }}
queue.name: queue.kind {{ $kind }} needs the name of a queue
{{- end }}
{{- if and $v.queue.topology (ne $kind "kueue") }}
queue.topology: only Kueue knows it; set queue.kind to kueue, or use affinity
{{- end }}
{{- if and $v.launch.queued (ne $kind "kueue") }}
launch.queued: only Kueue queues launchers; set queue.kind to kueue
{{- end }}
{{- if and (eq $kind "kueue") (or $v.nodeSelector $v.tolerations) }}
nodeSelector and tolerations: Kueue sets them from the ResourceFlavor, and an upgrade would undo that; set them there
{{- end }}
{{- end }}

{{/* Secrets in plain values, where everyone can read them. */}}
{{- define "finetune.mistakes.secrets" -}}
{{- $v := .Values -}}
{{- if include "finetune.holdsSecret" (dict "root" . "text" (toJson $v.config)) }}
config holds a password, a token or a signature; set it as FINETUNE_… in extraEnv, with valueFrom.secretKeyRef
{{- end }}
{{- range $kind := list "podAnnotations" "podLabels" }}
{{- range $name, $value := get $v $kind }}
{{- if include "finetune.holdsSecret" (dict "root" $ "text" (include "finetune.text" $value)) }}
{{ $kind }}.{{ $name }} holds a password, a token or a signature; remove it
{{- end }}
{{- end }}
{{- end }}
{{- $uris := dict
  "s3.endpoint" $v.s3.endpoint
  "huggingface.endpoint" $v.huggingface.endpoint
  "proxy.http" $v.proxy.http
  "proxy.https" $v.proxy.https -}}
{{- range $name, $value := $uris }}
{{- if or (contains "@" $value) (include "finetune.holdsSecret" (dict "root" $ "text" $value)) }}
{{ $name }} holds a password; set its variable in extraEnv, with valueFrom.secretKeyRef
{{- else if and (hasSuffix "endpoint" $name) $value (not (regexMatch "^https?://" $value)) }}
{{ $name }}: write http:// or https:// in front of it
{{- end }}
{{- end }}
{{- end }}

{{- define "finetune.mistakes.env" -}}
{{- $own := include "finetune.ownVariables" . | fromJsonArray -}}
{{- range $name, $value := .Values.extraEnv }}
{{- if has $name $own }}
extraEnv.{{ $name }}: the chart sets it from another value; remove it
{{- end }}
{{- if not (kindIs "map" $value) }}
{{- $text := include "finetune.text" $value }}
{{- if hasPrefix "FINETUNE_" $name }}
extraEnv.{{ $name }} is a setting of the job; put it into config
{{- else if include "finetune.isSecret" (dict "root" $ "name" $name "text" $text) }}
extraEnv.{{ $name }} looks like a secret; put it into a Secret and refer to that with valueFrom.secretKeyRef
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether an environment variable looks like a secret: root, name, text. */}}
{{- define "finetune.isSecret" -}}
{{- $words := include "finetune.job" .root | fromJson -}}
{{- $after := "(?:$|[^a-zA-Z0-9])" -}}
{{- $ending := printf "(?i)(?:%s)%s" $words.secretEndings $after -}}
{{- $word := printf "(?i)(?:^|[^a-z0-9])(?:%s)%s" $words.secretWords $after -}}
{{- $place := "(?i)_(file|path|dir|url|uri)$" -}}
{{- /* KEY alone may be that of a table */}}
{{- $named := or (regexMatch $ending .name) (and (regexMatch $word .name) (regexMatch "^[\\w+/=-]{16,}$" .text)) -}}
{{- if or (and $named (not (regexMatch $place .name))) (include "finetune.holdsSecret" .) }}true{{ end -}}
{{- end }}

{{/* Whether a text, or JSON, holds a secret: root, text. User info in a URI, whose password may hold a slash;
     a parameter of a signed one; a key of a form that is known; or a long value under a secret's name. */}}
{{- define "finetune.holdsSecret" -}}
{{- $words := include "finetune.job" .root | fromJson -}}
{{- $text := .text | replace "\\u0026" "&" -}}
{{- $word := printf "(?:[\\w.%%-]*[^a-zA-Z0-9=&])?(?:%s)" $words.secretWords -}}
{{- $before := printf "(?:[\\w.%%-]*(?:%s)|%s)" $words.secretEndings $word -}}
{{- $name := printf "%s(?:[^a-zA-Z0-9=&\"][\\w.%%-]*)?" $before -}}
{{- $forms := list
  "[a-z][a-z0-9+.-]*:/{1,2}[^/?#@\\s\"]*@"
  "https?:/{1,2}[^/?#@\\s\"]*:[0-9]*[^0-9/?#\\s\"][^\\s\"]*@"
  "https?:/{1,2}[^/?#@\\s\".]+[:/][^\\s\"]*@"
  "s3:/{1,2}[^/\\s\"]*:"
  (printf "[?&;]%s=[^&\\s\"]" $name)
  (printf "\"%s\":\"[\\w+/=-]{16,}\"" $name)
  "\\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
  "\\b(?:hf_|ghp_|sk-|glpat-|xox[a-z]-)[a-z0-9-]{12,}"
  "\\beyJ[\\w-]{10,}\\.[\\w-]{10,}"
  "-----BEGIN [A-Z ]*PRIVATE KEY" -}}
{{- range $forms }}{{ if regexMatch (printf "(?i)%s" .) $text }}true{{ end }}{{ end -}}
{{- end }}

{{/* The environment variables that the chart sets from values of their own. */}}
{{- define "finetune.ownVariables" -}}
{{- $v := .Values -}}
{{- $names := list "FINETUNE_CONFIG" "FINETUNE_RUN_ID" "FINETUNE_RUNTIME__GRACE_SECONDS" "WORKLOAD"
  "FINETUNE_RUNTIME__PEER_TOKEN" -}}
{{- if $v.s3.endpoint }}{{ $names = append $names "AWS_ENDPOINT_URL" }}{{ end -}}
{{- if $v.s3.region }}{{ $names = concat $names (list "AWS_REGION" "AWS_DEFAULT_REGION") }}{{ end -}}
{{- if $v.huggingface.endpoint }}{{ $names = append $names "HF_ENDPOINT" }}{{ end -}}
{{- if $v.huggingface.offline }}{{ $names = append $names "HF_HUB_OFFLINE" }}{{ end -}}
{{- if or $v.caBundle.configMap $v.caBundle.secret -}}
{{- $names = concat $names (list "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE") -}}
{{- end -}}
{{- if $v.webhook.existingSecret }}{{ $names = append $names "FINETUNE_PUBLISH__WEBHOOK_SECRET" }}{{ end -}}
{{- if $v.proxy.http }}{{ $names = concat $names (list "HTTP_PROXY" "http_proxy") }}{{ end -}}
{{- if $v.proxy.https }}{{ $names = concat $names (list "HTTPS_PROXY" "https_proxy") }}{{ end -}}
{{- if include "finetune.proxied" . }}{{ $names = concat $names (list "NO_PROXY" "no_proxy") }}{{ end -}}
{{- toJson $names -}}
{{- end }}

{{/* Whether there is a proxy, as a value or by reference. */}}
{{- define "finetune.proxied" -}}
{{- $env := .Values.extraEnv -}}
{{- $referred := or (hasKey $env "HTTP_PROXY") (hasKey $env "HTTPS_PROXY") -}}
{{- if or .Values.proxy.http .Values.proxy.https $referred }}true{{ end -}}
{{- end }}
