{{/* The environment variables of every pod of the release. */}}
{{- define "finetune.env" -}}
{{- $v := .Values -}}
- {name: "FINETUNE_CONFIG", value: "/etc/finetune/config.json"}
- {name: "FINETUNE_RUNTIME__GRACE_SECONDS", value: {{ int $v.gracePeriodSeconds | quote }}}
{{- with $v.s3.endpoint }}
- {name: "AWS_ENDPOINT_URL", value: {{ . | quote }}}
{{- end }}
{{- with $v.s3.region }}
- {name: "AWS_REGION", value: {{ . | quote }}}
- {name: "AWS_DEFAULT_REGION", value: {{ . | quote }}}
{{- end }}
{{- with $v.huggingface.endpoint }}
- {name: "HF_ENDPOINT", value: {{ . | quote }}}
{{- end }}
{{- if $v.huggingface.offline }}
- {name: "HF_HUB_OFFLINE", value: "1"}
{{- end }}
{{- if or $v.caBundle.configMap $v.caBundle.secret }}
{{- range list "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE" }}
- {name: {{ . | quote }}, value: "/etc/finetune-ca/ca.crt"}
{{- end }}
{{- end }}
{{- if include "finetune.proxied" . }}
{{- /* the API server and the clouds' credential services are never behind a proxy; the kubelet expands $(…) */}}
{{- $no := list "$(KUBERNETES_SERVICE_HOST)" "169.254.169.254" "169.254.170.23" ".svc" ".cluster.local"
  "localhost" "127.0.0.1" }}
{{- $no = append $no $v.proxy.noProxy | join "," | trimSuffix "," }}
{{- range $name, $value := dict "HTTP_PROXY" $v.proxy.http "HTTPS_PROXY" $v.proxy.https "NO_PROXY" $no }}
{{- if $value }}
- {name: {{ $name | quote }}, value: {{ $value | quote }}}
- {name: {{ lower $name | quote }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.webhook.existingSecret }}
- name: "FINETUNE_PUBLISH__WEBHOOK_SECRET"
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $v.webhook.key | quote }}}}
{{- end }}
{{- range $name, $value := $v.extraEnv }}
{{- if kindIs "map" $value }}
- {{ merge (dict "name" $name) $value | toJson }}
{{- else }}
- {name: {{ $name | quote }}, value: {{ include "finetune.text" $value | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* The metadata and spec of a pod, or of a pod template. Takes:
     root
     role         train, launch, prepare, registry or check
     container    its name
     args         of finetune
     resources    without GPUs; `gpus` says whether it gets gpusPerNode of them
     token        whether it may talk to the API server
     account      its service account; by default the release's
     env          more environment variables, as YAML
     ports        of the container
     subdomain    the Service that gives it a DNS name
     runId        for the annotation; without it there is none
     annotations  more of them, which become the files of /etc/finetune-launch */}}
{{- define "finetune.pod" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
metadata:
  labels:
    {{- include "finetune.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role | quote }}
    {{- range $name, $value := $v.podLabels }}
    {{ $name | quote }}: {{ include "finetune.text" $value | quote }}
    {{- end }}
  annotations:
    finetune/config: {{ $v.config | toJson | toJson }}
    {{- if hasKey . "runId" }}
    finetune/run-id: {{ .runId | quote }}
    {{- end }}
    {{- if and (eq .role "train") $v.queue.topology }}
    {{- $degree := ternary "required" "preferred" $v.queue.topologyRequired }}
    kueue.x-k8s.io/podset-{{ $degree }}-topology: {{ $v.queue.topology | quote }}
    {{- end }}
    {{- range $name, $value := .annotations }}
    finetune/{{ $name }}: {{ $value | toJson }}
    {{- end }}
    {{- range $name, $value := $v.podAnnotations }}
    {{ $name | quote }}: {{ include "finetune.text" $value | quote }}
    {{- end }}
spec:
  restartPolicy: "Never"
  serviceAccountName: {{ .account | default (include "finetune.serviceAccountName" $root) | quote }}
  automountServiceAccountToken: {{ .token | default false }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int $v.gracePeriodSeconds }}
  {{- $restricted := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") }}
  securityContext: {{ merge (deepCopy $v.podSecurityContext) $restricted | toJson }}
  {{- with .subdomain }}
  subdomain: {{ . | quote }}
  {{- end }}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - {name: {{ . | quote }}}
    {{- end }}
  {{- end }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- if eq .role "train" }}
  {{- with $v.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with $v.schedulerName | default (ternary "volcano" "" (eq $v.backend "volcano")) }}
  schedulerName: {{ . | quote }}
  {{- end }}
  {{- with $v.topologySpreadConstraints }}
  topologySpreadConstraints: {{ toJson . }}
  {{- end }}
  {{- if $v.affinity }}
  affinity: {{ toJson $v.affinity }}
  {{- else if gt (int $v.nodes) 1 }}
  affinity:
    podAntiAffinity: # one pod a node, where there is room
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 1
          podAffinityTerm:
            topologyKey: "kubernetes.io/hostname"
            labelSelector:
              matchLabels:
                {{- include "finetune.selector" $root | nindent 16 }}
                app.kubernetes.io/component: "train"
  {{- end }}
  {{- end }}
  {{- $placed := ternary $v $v.launch (eq .role "train") }}
  {{- with $placed.nodeSelector }}
  nodeSelector: {{ include "finetune.texts" . }}
  {{- end }}
  {{- /* Kueue sets them from its flavors, and an upgrade would undo that even with an empty list */}}
  {{- if not (and (eq .role "train") (eq $v.queue.kind "kueue")) }}
  tolerations:
    {{- range $placed.tolerations }}
    - {{ toJson . }}
    {{- end }}
    {{- $seconds := int $v.nodeLossSeconds }}
    {{- range list "not-ready" "unreachable" }}
    - {key: "node.kubernetes.io/{{ . }}", operator: "Exists", effect: "NoExecute", tolerationSeconds: {{ $seconds }}}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .container | quote }}
      image: {{ include "finetune.image" $root | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy | quote }}
      args: {{ toJson .args }}
      env:
        {{- with .env }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- include "finetune.env" $root | nindent 8 }}
      {{- if or $v.s3.existingSecret $v.huggingface.existingSecret }}
      envFrom:
        {{- range compact (list $v.s3.existingSecret $v.huggingface.existingSecret) | uniq }}
        - secretRef: {name: {{ . | quote }}}
        {{- end }}
      {{- end }}
      {{- $resources := deepCopy .resources }}
      {{- if int .gpus }}
      {{- range $part := list "requests" "limits" }}
      {{- $gpus := dict $v.gpuResourceName (int $v.gpusPerNode) }}
      {{- $_ := set $resources $part (merge $gpus (get $resources $part | default dict)) }}
      {{- end }}
      {{- end }}
      resources: {{ toJson $resources }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: ["ALL"]}
      {{- with .ports }}
      ports: {{ toJson . }}
      {{- end }}
      terminationMessagePath: "/dev/termination-log"
      volumeMounts:
        - {name: "config", mountPath: "/etc/finetune", readOnly: true}
        - {name: "scratch", mountPath: "/scratch"}
        - {name: "tmp", mountPath: "/tmp"}
        {{- if eq .role "train" }}
        - {name: "shm", mountPath: "/dev/shm"}
        {{- end }}
        {{- if or $v.caBundle.configMap $v.caBundle.secret }}
        - {name: "ca", mountPath: "/etc/finetune-ca", readOnly: true}
        {{- end }}
        {{- if .annotations }}
        - {name: "launch", mountPath: "/etc/finetune-launch", readOnly: true}
        {{- end }}
  volumes:
    - name: "config"
      downwardAPI:
        items:
          - {path: "config.json", fieldRef: {fieldPath: "metadata.annotations['finetune/config']"}}
    {{- if and $v.scratch.storageClassName (has .role (list "train" "prepare")) }}
    - name: "scratch"
      ephemeral:
        volumeClaimTemplate:
          spec:
            accessModes: ["ReadWriteOnce"]
            storageClassName: {{ $v.scratch.storageClassName | quote }}
            resources: {requests: {storage: {{ $v.scratch.size | quote }}}}
    {{- else }}
    - {name: "scratch", emptyDir: {sizeLimit: {{ $v.scratch.size | quote }}}}
    {{- end }}
    - {name: "tmp", emptyDir: {sizeLimit: "64Mi"}}
    {{- if eq .role "train" }}
    - {name: "shm", emptyDir: {medium: "Memory", sizeLimit: {{ $v.shm | quote }}}}
    {{- end }}
    {{- if or $v.caBundle.configMap $v.caBundle.secret }}
    - name: "ca"
      {{- $items := list (dict "key" $v.caBundle.key "path" "ca.crt") }}
      {{- if $v.caBundle.configMap }}
      configMap: {{ dict "name" $v.caBundle.configMap "items" $items | toJson }}
      {{- else }}
      secret: {{ dict "secretName" $v.caBundle.secret "items" $items | toJson }}
      {{- end }}
    {{- end }}
    {{- with .annotations }}
    - name: "launch"
      downwardAPI:
        items:
          {{- range $name := keys . | sortAlpha }}
          - {path: "{{ $name }}.json", fieldRef: {fieldPath: "metadata.annotations['finetune/{{ $name }}']"}}
          {{- end }}
    {{- end }}
{{- end }}
