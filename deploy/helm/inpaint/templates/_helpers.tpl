{{- define "inpaint.name" -}}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "inpaint.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "inpaint.metadata" -}}
name: {{ include "inpaint.name" . }}
labels:
  {{- include "inpaint.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "inpaint.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* Cores of a replica: its CPU limit, rounded up. */ -}}
{{- define "inpaint.cores" -}}
{{- $cpu := .Values.resources.limits.cpu | toString -}}
{{- $cores := hasSuffix "m" $cpu | ternary (divf (trimSuffix "m" $cpu | float64) 1000) (float64 $cpu) -}}
{{- ceil $cores | int -}}
{{- end -}}

{{- define "inpaint.threads" -}}
{{- max 1 (div (include "inpaint.cores" . | int) .Values.server.concurrency) -}}
{{- end -}}

{{- /* The path of a model that is not in the image. */ -}}
{{- define "inpaint.modelPath" -}}
{{- if eq .Values.model.source "pvc" -}}
/models/{{ .Values.model.pvc.file }}
{{- else -}}
/models/inpaint.onnx
{{- end -}}
{{- end -}}

{{- define "inpaint.env" -}}
- {name: INPAINT_THREADS, value: {{ include "inpaint.threads" . | quote }}}
- {name: INPAINT_CONCURRENCY, value: {{ .Values.server.concurrency | quote }}}
- {name: INPAINT_QUEUE_SIZE, value: {{ .Values.server.queueSize | quote }}}
- {name: INPAINT_MAX_SECONDS, value: {{ .Values.server.maxSeconds | quote }}}
- {name: INPAINT_MAX_BODY_BYTES, value: {{ .Values.server.maxBodyBytes | int64 | quote }}}
- {name: INPAINT_MAX_PIXELS, value: {{ .Values.server.maxPixels | int64 | quote }}}
- {name: INPAINT_GRACEFUL_SECONDS, value: {{ .Values.server.gracefulSeconds | quote }}}
- {name: INPAINT_LOG_LEVEL, value: {{ .Values.server.logLevel }}}
{{- if ne .Values.model.source "image" }}
- {name: INPAINT_MODEL, value: {{ include "inpaint.modelPath" . | quote }}}
{{- end }}
{{- with .Values.server.allowOrigin }}
- {name: INPAINT_ALLOW_ORIGIN, value: {{ . | quote }}}
{{- end }}
{{- if .Values.gpus }}
- {name: INPAINT_DEVICE, value: cuda}
- {name: INPAINT_REQUIRE_GPU, value: "true"}
{{- end }}
{{- with .Values.apiKey }}
{{- if .secret }}
- name: INPAINT_API_KEY
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .entry }}}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "inpaint.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "inpaint.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if ne .Values.model.source "image" }}
- {name: models, mountPath: /models, readOnly: true}
{{- end }}
{{- end -}}

{{- define "inpaint.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if .Values.gpus -}}
{{- $_ := set $resources.limits "nvidia.com/gpu" .Values.gpus -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- /* What the pods of every workload share: everything but their containers. */ -}}
{{- define "inpaint.pod" -}}
# A Service named inpaint would set INPAINT_PORT, which is a setting of the server.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if eq .Values.model.source "download" }}
initContainers:
  - name: model
    image: {{ include "inpaint.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [python, -I, -c]
    args:
      - {{ .Files.Get "files/download.py" | quote }}
      - {{ .Values.model.download.url | quote }}
      - {{ .Values.model.download.sha256 | quote }}
      - {{ include "inpaint.modelPath" . }}
    resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {cpu: "1", memory: 256Mi}}
    securityContext: {{- include "inpaint.containerSecurity" . | nindent 6 }}
    volumeMounts: [{name: models, mountPath: /models}]
{{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: {{ .Values.temporaryStorage }}}
{{- if eq .Values.model.source "pvc" }}
  - name: models
    persistentVolumeClaim:
      claimName: {{ .Values.model.pvc.claim }}
      readOnly: true
{{- else if eq .Values.model.source "download" }}
  - name: models
    emptyDir: {}
{{- end }}
{{- end -}}

{{- /* The container of a Deployment or an InferenceService. */ -}}
{{- define "inpaint.container" -}}
image: {{ include "inpaint.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env: {{- include "inpaint.env" . | nindent 2 }}
resources: {{- include "inpaint.resources" . | nindent 2 }}
securityContext: {{- include "inpaint.containerSecurity" . | nindent 2 }}
volumeMounts: {{- include "inpaint.mounts" . | nindent 2 }}
startupProbe:
  httpGet: {path: /v2/health/ready, port: 8080}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
readinessProbe:
  httpGet: {path: /v2/health/ready, port: 8080}
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /v2/health/live, port: 8080}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
# The pod stops only after it has been removed from the Service everywhere: otherwise new requests would reach a closed port.
lifecycle:
  preStop: {exec: {command: [sleep, "10"]}}
{{- end -}}

{{- define "inpaint.graceSeconds" -}}
{{ add 30 .Values.server.gracefulSeconds }}
{{- end -}}

{{- define "inpaint.hasReplicas" -}}
{{- if gt (eq .Values.autoscaling.by "none" | ternary .Values.replicas .Values.autoscaling.minReplicas | int) 1 }}true{{ end -}}
{{- end -}}
