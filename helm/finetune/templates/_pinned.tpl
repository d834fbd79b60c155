{{/* What the pods of launched Jobs have, as the admission policy's lists and maps: pods, a list of their specs. */}}
{{- define "finetune.pinned" -}}
{{- $values := dict -}}
{{- $sources := dict -}}
{{- $paths := list -}}
{{- $mounts := list -}}
{{- $selectors := list -}}
{{- $tolerations := list -}}
{{- $priorities := list -}}
{{- $runtimes := list -}}
{{- $schedulers := list -}}
{{- $gpus := list "0" -}}
{{- range $pod := .pods -}}
{{- $container := first $pod.containers -}}
{{- range $variable := $container.env -}}
{{- with $variable.valueFrom -}}
{{- $source := "" -}}
{{- with .fieldRef }}{{ $source = printf "field/%s" .fieldPath }}{{ end -}}
{{- with .resourceFieldRef }}{{ $source = printf "resource/%s" .resource }}{{ end -}}
{{- with .configMapKeyRef }}{{ $source = printf "configMap/%s/%s" .name .key }}{{ end -}}
{{- with .secretKeyRef }}{{ $source = printf "secret/%s/%s" .name .key }}{{ end -}}
{{- $_ := set $sources $variable.name $source -}}
{{- else -}}
{{- $_ := set $values $variable.name ($variable.value | default "") -}}
{{- end -}}
{{- end -}}
{{- range $pod.volumes -}}
{{- range dig "downwardAPI" "items" list . }}{{ $paths = append $paths .fieldRef.fieldPath }}{{ end -}}
{{- end -}}
{{- range $container.volumeMounts }}{{ $mounts = append $mounts (printf "%s:%s" .name .mountPath) }}{{ end -}}
{{- range $pod.tolerations -}}
{{- $toleration := list (.key | default "") (.operator | default "Equal") (.value | default "") -}}
{{- $tolerations = append $tolerations (append $toleration (.effect | default "") | join "/") -}}
{{- end -}}
{{- $selectors = append $selectors ($pod.nodeSelector | default dict) -}}
{{- $priorities = append $priorities ($pod.priorityClassName | default "") -}}
{{- $runtimes = append $runtimes ($pod.runtimeClassName | default "") -}}
{{- $schedulers = append $schedulers ($pod.schedulerName | default "default-scheduler") -}}
{{- range $name, $count := $container.resources.limits -}}
{{- if not (has $name (list "cpu" "memory")) }}{{ $gpus = append $gpus (toString $count) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- dict "values" $values "sources" $sources "paths" (uniq $paths) "mounts" (uniq $mounts)
  "selectors" (uniq $selectors) "tolerations" (uniq $tolerations) "priorities" (uniq $priorities)
  "runtimes" (uniq $runtimes) "schedulers" (uniq $schedulers) "gpus" (uniq $gpus) | toJson -}}
{{- end }}
