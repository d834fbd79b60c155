{{/* The object that a run is made as: root, name, runId. The four backends say the same in different words;
     tests/chart/test_backends.py holds what each must have. The text of a spec is hashed as it is rendered
     (finetune.workloadName), comments included: rewording one renames the Jobs of every release. */}}
{{- define "finetune.workload" -}}
{{- $backend := include "finetune.backend" .root | fromJson -}}
apiVersion: {{ printf "%s/%s" $backend.group $backend.version | quote }}
kind: {{ $backend.kind | quote }}
metadata:
  name: {{ .name | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "finetune.labels" .root | nindent 4 }}
    app.kubernetes.io/component: "train"
    {{- with include "finetune.queueLabels" (dict "root" .root "name" .root.Values.queue.name) }}
    {{- . | nindent 4 }}
    {{- end }}
  annotations:
    finetune/run-id: {{ .runId | quote }}
    finetune/image: {{ include "finetune.image" .root | quote }}
    {{- if include "finetune.kept" .root }}
    helm.sh/resource-policy: "keep"
    {{- end }}
spec:
  {{- include (printf "finetune.spec.%s" .root.Values.backend) . | nindent 2 }}
{{- end }}

{{/* Kueue's labels on what it queues: root, and the queue's name. */}}
{{- define "finetune.queueLabels" -}}
{{- if eq .root.Values.queue.kind "kueue" -}}
kueue.x-k8s.io/queue-name: {{ .name | quote }}
{{- with .root.Values.queue.priorityClass }}
kueue.x-k8s.io/priority-class: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{/* A training pod; takes the arguments of finetune.pod that differ between backends, and those of its env. */}}
{{- define "finetune.trainingPod" -}}
{{- $v := .root.Values -}}
{{- $own := dict "role" "train" "args" (list "run") "resources" $v.resources "gpus" $v.gpusPerNode -}}
{{- $_ := set $own "token" (and $v.progress.enabled (not $v.schedule)) -}}
{{- $_ := set $own "env" (include "finetune.trainingEnv" .) -}}
{{- if $v.podMonitor.enabled -}}
{{- $_ := set $own "ports" (list (dict "name" "metrics" "containerPort" (int $v.podMonitor.port))) -}}
{{- end -}}
{{- include "finetune.pod" (merge $own .) -}}
{{- end }}

{{/* nameLabel: the label that holds the workload's name; address: of the first pod, where the chart knows it. */}}
{{- define "finetune.trainingEnv" -}}
{{- $v := .root.Values -}}
{{- $backend := include "finetune.backend" .root | fromJson -}}
- name: "FINETUNE_RUN_ID"
  valueFrom: {fieldRef: {fieldPath: "metadata.annotations['finetune/run-id']"}}
- name: "WORKLOAD"
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['{{ .nameLabel }}']"}}
- {name: "FINETUNE_RUNTIME__PROCESSES", value: {{ max 1 (int $v.gpusPerNode) | quote }}}
{{- if .address }}
- {name: "FINETUNE_RUNTIME__NODES", value: {{ int $v.nodes | quote }}}
- {name: "FINETUNE_RUNTIME__ADDRESS", value: {{ .address | quote }}}
{{- else if eq $v.backend "volcano" }}
- {name: "FINETUNE_RUNTIME__ENV", value: "pods"}
{{- end }}
{{- if gt (int $v.nodes) 1 }}
- name: "FINETUNE_RUNTIME__PEER_TOKEN"
  valueFrom: {secretKeyRef: {name: {{ include "finetune.peerSecretName" .root | quote }}, key: "token"}}
{{- end }}
{{- if and $v.progress.enabled (not $v.schedule) }}
{{- $resource := printf "%s/%s/%s" $backend.group $backend.version $backend.plural }}
- {name: "FINETUNE_PROGRESS__ANNOTATE", value: "{{ $resource }}/$(WORKLOAD)"}
{{- end }}
{{- if $v.podMonitor.enabled }}
- {name: "FINETUNE_METRICS__PORT", value: {{ int $v.podMonitor.port | quote }}}
{{- end }}
{{- end }}

{{/* What a Job does with its container's exit codes: root, container. */}}
{{- define "finetune.podFailurePolicy" -}}
{{- $permanent := (include "finetune.job" .root | fromJson).permanentCodes | join ", " -}}
podFailurePolicy:
  rules:
    - action: "Ignore"
      onPodConditions: [{type: "DisruptionTarget", status: "True"}]
    - action: "Ignore" # stopped by SIGTERM, and ready to go on
      onExitCodes: {containerName: {{ .container | quote }}, operator: "In", values: [143]}
    - action: "FailJob"
      onExitCodes: {containerName: {{ .container | quote }}, operator: "In", values: [{{ $permanent }}]}
{{- end }}

{{/* The spec of an Indexed Job: root, container, pod (its template as YAML), deadline (whether it has one). */}}
{{- define "finetune.indexedJob" -}}
{{- $v := .root.Values -}}
completionMode: "Indexed"
completions: {{ int $v.nodes }}
parallelism: {{ int $v.nodes }}
# attempts that make progress are not counted by the job itself, which ends those that do not
backoffLimit: {{ mul 20 (int $v.nodes) }}
podReplacementPolicy: "Failed"
successPolicy: {rules: [{succeededIndexes: "0"}]} # pod 0 publishes
{{ include "finetune.podFailurePolicy" . }}
{{- if and .deadline $v.deadlineSeconds }}
activeDeadlineSeconds: {{ int64 $v.deadlineSeconds }}
{{- end }}
template:
  {{- .pod | nindent 2 }}
{{- end }}

{{- define "finetune.ttl" -}}
{{- if .Values.schedule }}
ttlSecondsAfterFinished: {{ int64 .Values.launch.ttlSecondsAfterFinished }}
{{- end }}
{{- end }}

{{- define "finetune.spec.job" -}}
{{- $service := include "finetune.fullname" .root -}}
{{- $address := printf "$(WORKLOAD)-0.%s" $service -}}
{{- $pod := include "finetune.trainingPod" (dict "root" .root "container" "train" "runId" .runId
  "subdomain" $service "nameLabel" "batch.kubernetes.io/job-name" "address" $address) -}}
{{ include "finetune.indexedJob" (dict "root" .root "container" "train" "pod" $pod "deadline" true) }}
{{- include "finetune.ttl" .root }}
{{- end }}

{{- define "finetune.spec.jobset" -}}
{{- $address := "$(WORKLOAD)-node-0-0.$(WORKLOAD)" -}}
{{- $pod := include "finetune.trainingPod" (dict "root" .root "container" "train" "runId" .runId
  "nameLabel" "jobset.sigs.k8s.io/jobset-name" "address" $address) -}}
network: {enableDNSHostnames: true, publishNotReadyAddresses: true}
failurePolicy: {maxRestarts: 0} # the Job inside retries
replicatedJobs:
  - name: "node"
    replicas: 1
    template:
      spec:
        {{- $job := dict "root" .root "container" "train" "pod" $pod "deadline" true }}
        {{- include "finetune.indexedJob" $job | nindent 8 }}
{{- include "finetune.ttl" .root }}
{{- end }}

{{/* Volcano counts every restart, even after 143, and its policies take one exit code each. */}}
{{- define "finetune.spec.volcano" -}}
{{- $v := .root.Values -}}
{{- $args := dict "root" .root "container" "train" "runId" .runId "nameLabel" "volcano.sh/job-name" -}}
schedulerName: {{ $v.schedulerName | default "volcano" | quote }}
{{- if eq $v.queue.kind "volcano" }}
queue: {{ $v.queue.name | quote }}
{{- end }}
{{- with $v.queue.priorityClass | default $v.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
minAvailable: {{ int $v.nodes }}
maxRetry: {{ mul 20 (int $v.nodes) }}
plugins:
  pytorch: ["--master=master", "--worker=worker", "--port=29400"]
  # its own NetworkPolicy would keep Prometheus out; the chart has one
  svc: ["--publish-not-ready-addresses=true", "--disable-network-policy=true"]
policies:
  {{- range (include "finetune.job" .root | fromJson).permanentCodes }}
  - {action: "TerminateJob", exitCode: {{ int . }}}
  {{- end }}
  - {action: "RestartPod", event: "PodFailed"}
  - {action: "RestartPod", event: "PodEvicted"}
tasks:
  - name: "master"
    replicas: 1
    policies: [{action: "CompleteJob", event: "TaskCompleted"}]
    template:
      {{- include "finetune.trainingPod" $args | nindent 6 }}
  {{- if gt (int $v.nodes) 1 }}
  - name: "worker"
    replicas: {{ sub (int $v.nodes) 1 }}
    template:
      {{- include "finetune.trainingPod" $args | nindent 6 }}
  {{- end }}
{{- include "finetune.ttl" .root }}
{{- end }}

{{/* What is a run's own; the rest is in its runtime (trainingruntime.yaml), which this patches. */}}
{{- define "finetune.spec.trainjob" -}}
{{- $v := .root.Values -}}
runtimeRef:
  apiGroup: "trainer.kubeflow.org"
  kind: "TrainingRuntime"
  name: {{ include "finetune.runtimeName" .root | quote }}
trainer:
  numNodes: {{ int $v.nodes }}
  numProcPerNode: {{ max 1 (int $v.gpusPerNode) }}
runtimePatches:
  - manager: "finetune/run"
    trainingRuntimeSpec:
      template:
        spec:
          replicatedJobs:
            - name: "node"
              template:
                spec:
                  template:
                    metadata:
                      annotations:
                        finetune/config: {{ $v.config | toJson | toJson }}
                        finetune/run-id: {{ .runId | quote }}
{{- if $v.deadlineSeconds }}
activeDeadlineSeconds: {{ int64 $v.deadlineSeconds }}
{{- end }}
{{- end }}

{{- define "finetune.runtimeSpec" -}}
{{- $nameLabel := "jobset.sigs.k8s.io/jobset-name" -}}
{{- $pod := include "finetune.trainingPod" (dict "root" . "container" "node" "nameLabel" $nameLabel) -}}
mlPolicy: {numNodes: {{ int .Values.nodes }}, torch: {}}
template:
  spec:
    network: {enableDNSHostnames: true, publishNotReadyAddresses: true}
    failurePolicy: {maxRestarts: 0}
    replicatedJobs:
      - name: "node"
        replicas: 1
        template:
          metadata:
            labels: {trainer.kubeflow.org/trainjob-ancestor-step: "trainer"}
          spec:
            {{- include "finetune.indexedJob" (dict "root" . "container" "node" "pod" $pod) | nindent 12 }}
{{- end }}

{{- define "finetune.runtimeName" -}}
{{- printf "%s-%s" (include "finetune.fullname" .) (include "finetune.runtimeSpec" . | sha256sum | trunc 5) -}}
{{- end }}

{{/* The run's id and a hash of the spec: a Job's template cannot be changed, so a changed spec is another
     Job, which continues the same run. job/launch/manifest.py does the same for launched runs. */}}
{{- define "finetune.workloadName" -}}
{{- $runId := include "finetune.runId" . -}}
{{- $spec := include (printf "finetune.spec.%s" .Values.backend) (dict "root" . "runId" $runId) -}}
{{- $prefix := regexReplaceAll "[^a-z0-9]+$" (regexReplaceAll "[._]" (lower $runId) "-" | trunc 40) "" -}}
{{- printf "%s-%s" $prefix (sha256sum $spec | trunc 5) -}}
{{- end }}
