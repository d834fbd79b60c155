{{/* The Job that prepares the rows where launch.prepare is `job`; launchers fill in its name and run id. */}}
{{- define "finetune.prepareJob" -}}
{{- $v := .Values -}}
{{- $env := `- name: "FINETUNE_RUN_ID"
  valueFrom: {fieldRef: {fieldPath: "metadata.annotations['finetune/run-id']"}}` -}}
apiVersion: "batch/v1"
kind: "Job"
metadata:
  name: ""
  namespace: {{ .Release.Namespace | quote }}
  labels:
    {{- include "finetune.labels" . | nindent 4 }}
    app.kubernetes.io/component: "prepare"
    {{- with include "finetune.queueLabels" (dict "root" . "name" ($v.launch.queueName | default $v.queue.name)) }}
    {{- . | nindent 4 }}
    {{- end }}
  annotations: {finetune/run-id: "", finetune/image: {{ include "finetune.image" . | quote }}}
spec:
  backoffLimit: 20
  podReplacementPolicy: "Failed"
  {{- include "finetune.podFailurePolicy" (dict "root" . "container" "prepare") | nindent 2 }}
  {{- include "finetune.ttl" . | nindent 2 }}
  template:
    {{- $resources := $v.launch.prepareResources }}
    {{- include "finetune.pod" (dict "root" . "role" "prepare" "container" "prepare" "args" (list "prepare")
      "resources" $resources "gpus" 0 "runId" "" "env" $env) | nindent 4 }}
{{- end }}

{{/* What only launchers are told. */}}
{{- define "finetune.launchEnv" -}}
{{- $launch := .Values.launch -}}
{{- $prepare := get (dict "inPlace" "in_place" "job" "job" "none" "none") $launch.prepare -}}
- {name: "FINETUNE_LAUNCH__MANIFESTS", value: "/etc/finetune-launch"}
- {name: "FINETUNE_LAUNCH__OWNER", value: {{ include "finetune.fullname" . | quote }}}
- {name: "FINETUNE_LAUNCH__RELEASE", value: {{ .Release.Name | quote }}}
- {name: "FINETUNE_LAUNCH__PREPARE", value: {{ $prepare | quote }}}
- {name: "FINETUNE_LAUNCH__FORCE", value: {{ $launch.force | quote }}}
{{- with $launch.maxAgeSeconds }}
- {name: "FINETUNE_LAUNCH__MAX_AGE", value: {{ int64 . | quote }}}
{{- end }}
{{- end }}
