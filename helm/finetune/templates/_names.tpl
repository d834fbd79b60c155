{{/* The release's name as a Service may have it: a DNS label that begins with a letter. */}}
{{- define "finetune.fullname" -}}
{{- $name := replace "." "-" .Release.Name -}}
{{- if not (contains "finetune" $name) }}{{ $name = printf "%s-finetune" $name }}{{ end -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ $name = printf "r%s" $name }}{{ end -}}
{{- regexReplaceAll "-+$" (trunc 52 $name) "" -}}
{{- end }}

{{/* The labels that select a release's pods; app.kubernetes.io/component says which of them. */}}
{{- define "finetune.selector" -}}
app.kubernetes.io/name: "finetune"
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "finetune.labels" -}}
{{ include "finetune.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "finetune.metadata" -}}
name: {{ .name | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "finetune.labels" .root | nindent 2 }}
{{- end }}

{{/* Whether the Job and what it needs outlive upgrades and an uninstall; what launchers make is theirs. */}}
{{- define "finetune.kept" -}}
{{- if and (not .Values.schedule) (eq .Values.upgradePolicy "keep") }}true{{ end -}}
{{- end }}

{{/* The annotation that keeps an object then. */}}
{{- define "finetune.keep" -}}
{{- if include "finetune.kept" . }}
annotations: {helm.sh/resource-policy: "keep"}
{{- end }}
{{- end }}

{{/* A map with text values, as JSON; numbers and booleans become text. */}}
{{- define "finetune.texts" -}}
{{- $texts := dict -}}
{{- range $name, $value := . }}{{ $_ := set $texts $name (include "finetune.text" $value) }}{{ end -}}
{{- toJson $texts -}}
{{- end }}

{{/* A list of strings as a CEL expression, quoted for YAML. */}}
{{- define "finetune.celList" -}}
{{- toJson . | replace "\"" "'" | quote -}}
{{- end }}

{{/* NAMESPACE-RELEASE, cut so that the names of pods made from it stay within 63 characters. */}}
{{- define "finetune.runPrefix" -}}
{{- $name := printf "%s-%s" .Release.Namespace .Release.Name | replace "." "-" -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ $name = printf "r%s" $name }}{{ end -}}
{{- regexReplaceAll "-+$" (trunc 28 $name) "" -}}
{{- end }}

{{/* The job's own facts, from a generated file, as JSON. */}}
{{- define "finetune.job" -}}
{{- .Files.Get "files/job.yaml" | fromYaml | toJson -}}
{{- end }}

{{/* The settings that decide what is learned, and with that a run's identity. */}}
{{- define "finetune.relevantConfig" -}}
{{- $config := .Values.config -}}
{{- range (include "finetune.job" . | fromJson).incidental }}{{ $config = omit $config . }}{{ end -}}
{{- toJson $config -}}
{{- end }}

{{/* Stable across restarts and upgrades: the same id resumes the same run. With upgradePolicy keep each Job
     is a run of its own, since two Jobs would take one run from each other. */}}
{{- define "finetune.runId" -}}
{{- if .Values.config.run_id }}{{ .Values.config.run_id }}{{ else -}}
{{- $identity := printf "%s/%s %s" .Release.Namespace .Release.Name (include "finetune.relevantConfig" .) -}}
{{- if include "finetune.kept" . }}
{{- $spec := include (printf "finetune.spec.%s" .Values.backend) (dict "root" . "runId" "") }}
{{- $identity = printf "%s %s" $identity (sha256sum $spec) }}
{{- end -}}
{{- include "finetune.runPrefix" . }}-{{ sha256sum $identity | trunc 8 }}
{{- with int .Values.rerun }}-{{ . }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "finetune.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "finetune.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "finetune.fullname" .) -}}
{{- end }}

{{- define "finetune.peerSecretName" -}}
{{- .Values.peers.existingSecret | default (printf "%s-peers" (include "finetune.fullname" .)) -}}
{{- end }}

{{/* The CronJob that is never due, from which a rollback is made. */}}
{{- define "finetune.rollbackName" -}}
{{- printf "%s-rollback" (regexReplaceAll "-+$" (trunc 43 (include "finetune.fullname" .)) "") -}}
{{- end }}

{{/* The group, version, kind and plural of the object that a run is made as. */}}
{{- define "finetune.backend" -}}
{{- $kinds := dict
  "job" (dict "group" "batch" "version" "v1" "kind" "Job" "plural" "jobs")
  "jobset" (dict "group" "jobset.x-k8s.io" "version" "v1alpha2" "kind" "JobSet" "plural" "jobsets")
  "volcano" (dict "group" "batch.volcano.sh" "version" "v1alpha1" "kind" "Job" "plural" "jobs")
  "trainjob" (dict "group" "trainer.kubeflow.org" "version" "v1alpha1" "kind" "TrainJob" "plural" "trainjobs") -}}
{{- get $kinds .Values.backend | toJson -}}
{{- end }}

{{/* The service account of launchers; roles.yaml says what it may do. */}}
{{- define "finetune.launchAccountName" -}}
{{- .Values.launch.serviceAccountName | default (printf "%s-launch" (include "finetune.fullname" .)) -}}
{{- end }}

{{/* A value as text; a number as it was written, not 1000000 as 1e+06. */}}
{{- define "finetune.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end }}
