{{/* A ServiceMonitor and the headless Service that it finds pods by. Takes a dict of root, component,
name, ports (each with name and number), and settings. */}}
{{- define "metallb.serviceMonitor" -}}
{{- $settings := .settings }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}-service
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "metallb.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    name: {{ .name }}-service
  {{- with $settings.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  clusterIP: None
  selector:
    {{- include "metallb.selectorLabels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  ports:
    {{- range .ports }}
    - name: {{ .name }}
      port: {{ .number }}
      targetPort: {{ .number }}
    {{- end }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "metallb.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $settings.additionalLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $settings.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  jobLabel: {{ $settings.jobLabel | quote }}
  namespaceSelector:
    matchNames:
      - {{ .root.Release.Namespace | quote }}
  selector:
    matchLabels:
      name: {{ .name }}-service
  endpoints:
    {{- range .ports }}
    - port: {{ .name }}
      honorLabels: true
      bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
      {{- include "metallb.endpoint" $settings | trim | nindent 6 }}
    {{- end }}
{{- end }}

{{/* Takes a dict of root, component, and the names of ports. */}}
{{- define "metallb.podMonitor" -}}
{{- $name := include "metallb.fullname" .root }}
{{- $settings := .root.Values.prometheus.podMonitor }}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ $name }}-{{ .component }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels:
    {{- include "metallb.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $settings.additionalLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $settings.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  jobLabel: {{ $settings.jobLabel | quote }}
  namespaceSelector:
    matchNames:
      - {{ .root.Release.Namespace | quote }}
  selector:
    matchLabels:
      {{- include "metallb.selectorLabels" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  podMetricsEndpoints:
    {{- range .ports }}
    - port: {{ . }}
      authorization:
        credentials:
          name: {{ $name }}-metrics-token
          key: token
      {{- include "metallb.endpoint" $settings | trim | nindent 6 }}
    {{- end }}
{{- end }}

{{- define "metallb.endpoint" -}}
path: /metrics
scheme: https
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A PodMonitor cannot use Prometheus' own token, so it has one that may read metrics alone. */}}
{{- define "metallb.metricsReader" -}}
{{- $name := include "metallb.fullname" . }}
{{- $namespace := .Release.Namespace | quote }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}-metrics-reader
  namespace: {{ $namespace }}
  labels:
    {{- include "metallb.labels" . | nindent 4 }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name }}-metrics-token
  namespace: {{ $namespace }}
  labels:
    {{- include "metallb.labels" . | nindent 4 }}
  annotations:
    kubernetes.io/service-account.name: {{ $name }}-metrics-reader
type: kubernetes.io/service-account-token
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}-metrics-reader
  labels:
    {{- include "metallb.labels" . | nindent 4 }}
rules:
  - nonResourceURLs: [/metrics]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}-metrics-reader
  labels:
    {{- include "metallb.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $name }}-metrics-reader
subjects:
  - kind: ServiceAccount
    name: {{ $name }}-metrics-reader
    namespace: {{ $namespace }}
{{- end }}
