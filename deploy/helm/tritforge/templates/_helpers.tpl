{{- define "tritforge.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "tritforge.labels" -}}
app.kubernetes.io/name: tritforge
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Of one component: (list . "api"). */ -}}
{{- define "tritforge.selector" -}}
app.kubernetes.io/name: tritforge
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "tritforge.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "tritforge.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- define "tritforge.claim" -}}
{{ .Values.storage.existingClaim | default (include "tritforge.name" .) }}
{{- end }}

{{- define "tritforge.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Settings that all processes have. */ -}}
{{- define "tritforge.env" -}}
- name: DATABASE_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.database.secretName | quote }}, key: {{ .Values.database.key | quote }} } }
{{- if .Values.redis.enabled }}
- name: REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.redis.secretName | quote }}, key: {{ .Values.redis.key | quote }} } }
{{- end }}
- { name: TRITFORGE_DATA_DIR, value: /var/lib/tritforge }
{{- range $name, $value := .Values.settings }}
- { name: {{ $name | quote }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end }}

{{- /* Of a pod: nobody in it is root, or becomes it. */ -}}
{{- define "tritforge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tritforge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
