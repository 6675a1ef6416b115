{{/* Names and labels are those of MetalLB's own chart: a release of it is upgraded in place. */}}

{{- define "metallb.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "metallb.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $both | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "metallb.selectorLabels" -}}
app.kubernetes.io/name: {{ include "metallb.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "metallb.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "metallb.selectorLabels" . }}
{{- end }}

{{/* A component's account: list of the root and the component. */}}
{{- define "metallb.account" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $account := (index $root.Values $component).serviceAccount }}
{{- $own := printf "%s-%s" (include "metallb.fullname" $root) $component }}
{{- $account.name | default ($account.create | ternary $own "default") }}
{{- end }}

{{- define "metallb.memberlistSecret" -}}
{{- $own := printf "%s-memberlist" (include "metallb.fullname" .) }}
{{- .Values.speaker.secretName | default $own | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Whether controllers answer webhooks. */}}
{{- define "metallb.webhooks" -}}
{{- if and .Values.controller.enabled (ne (.Values.controller.webhookMode | default "enabled") "disabled") }}true{{ end }}
{{- end }}

{{/* Which of MetalLB's backends to be like. */}}
{{- define "metallb.backend" -}}
{{- if .Values.speaker.frr.enabled }}frr
{{- else if or .Values.frrk8s.enabled .Values.frrk8s.external }}frr-k8s
{{- else }}native
{{- end }}
{{- end }}

{{/* The port that metrics of BGP sessions have of their own, if they have one. */}}
{{- define "metallb.bgpMetricsPort" -}}
{{- $backend := include "metallb.backend" . }}
{{- if eq $backend "frr" }}{{ .Values.speaker.frr.metricsPort }}
{{- else if and (eq $backend "frr-k8s") (not .Values.frrk8s.external) }}{{ (index .Values "frr-k8s").frrk8s.frr.secureMetricsPort }}
{{- end }}
{{- end }}
