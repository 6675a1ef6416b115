{{/* What the pods of both components have in common. Each takes a list of the root and the component. */}}

{{- define "metallb.podMetadata" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $values := index $root.Values $component }}
{{- $annotations := dict }}
{{- if eq $component "speaker" }}
{{- /* Beside MetalLB's own speakers, ours are known by this. */}}
{{- $_ := set $annotations "metallb.io/heartbeats" "ring" }}
{{- end }}
{{- if $root.Values.prometheus.scrapeAnnotations }}
{{- $scrape := dict "prometheus.io/scrape" "true" "prometheus.io/scheme" "https" "prometheus.io/port" ($root.Values.prometheus.metricsPort | toString) }}
{{- $annotations = merge $annotations $values.podAnnotations $scrape }}
{{- else }}
{{- $annotations = merge $annotations $values.podAnnotations }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "metallb.selectorLabels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ $component }}
  {{- range $label, $value := $values.labels }}
  {{ $label }}: {{ $value | quote }}
  {{- end }}
{{- end }}

{{- define "metallb.podSettings" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $values := index $root.Values $component }}
serviceAccountName: {{ include "metallb.account" . }}
# Enough to hand over the addresses, the Lease and what is being written.
terminationGracePeriodSeconds: 30
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
nodeSelector:
  {{- merge (dict "kubernetes.io/os" "linux") $values.nodeSelector | toYaml | nindent 2 }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "metallb.image" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- with (index $root.Values $component).image }}
image: {{ .repository }}:{{ .tag | default $root.Chart.AppVersion }}
{{- with .pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
# The pod's last words say why it ended.
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}
{{- end }}

{{- define "metallb.commonArgs" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $values := index $root.Values $component }}
- --port={{ $root.Values.prometheus.metricsPort }}
- --health-probe-port={{ $values.livenessProbe.port }}
{{- with $values.logLevel }}
- --log-level={{ . }}
{{- end }}
{{- with $root.Values.loadBalancerClass }}
- --lb-class={{ . }}
{{- end }}
{{- with $root.Values.tls.cipherSuites }}
- --tls-cipher-suites={{ . }}
{{- end }}
{{- with $root.Values.tls.curvePreferences }}
- --tls-curve-preferences={{ . }}
{{- end }}
{{- with $root.Values.tls.minVersion }}
- --tls-min-version={{ . }}
{{- end }}
{{- if include "metallb.metricsSecret" . }}
- --metrics-cert-dir=/etc/metrics
{{- end }}
{{- end }}

{{- define "metallb.metricsSecret" -}}
{{- $root := index . 0 }}
{{- index $root.Values.tls (printf "%sMetricsTLSSecret" (index . 1)) }}
{{- end }}

{{/* Takes a list of the root, the component, and the address to ask, if it is not the pod's. */}}
{{- define "metallb.probes" -}}
{{- $root := index . 0 }}
{{- $values := index $root.Values (index . 1) }}
{{- $host := index . 2 }}
{{- range $probe, $path := dict "livenessProbe" "/healthz" "readinessProbe" "/readyz" }}
{{- $settings := index $values $probe }}
{{- if $settings.enabled }}
{{ $probe }}:
  httpGet:
    path: {{ $path }}
    port: {{ $settings.port }}
    {{- with $host }}
    host: {{ . }}
    {{- end }}
  {{- omit $settings "enabled" "port" | toYaml | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes a list of what the user wants and what is requested otherwise. */}}
{{- define "metallb.resources" -}}
resources:
  {{- index . 0 | default (dict "requests" (index . 1)) | toYaml | nindent 2 }}
{{- end }}
