{{/* Who may do what. The same as operator/src/render/rules.rs has, which says by what code each right
is used; a test compares. */}}

{{- define "metallb.controller.clusterRights" -}}
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services/status]
  verbs: [update]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [nodes]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [metallb-webhook-configuration]
  verbs: [list, watch, patch]
{{ include "metallb.metricsReviews" . }}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [bgppeers.metallb.io]
  verbs: [list, watch, patch]
{{- end }}

{{- define "metallb.controller.rights" -}}
- apiGroups: [metallb.io]
  resources: [ipaddresspools]
  verbs: [list, watch]
- apiGroups: [metallb.io]
  resources: [ipaddresspools/status]
  verbs: [patch]
- apiGroups: [metallb.io]
  resources: [communities]
  verbs: [list, watch]
- apiGroups: [metallb.io]
  resources: [bgppeers, bgpadvertisements, bfdprofiles, l2advertisements]
  verbs: [list]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [metallb-webhook-cert]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [metallb-controller]
  verbs: [get, list, watch, update]
{{ include "metallb.configurationState" . }}
{{- if and .Values.speaker.enabled .Values.speaker.memberlist.enabled }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "metallb.memberlistSecret" . }}]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [{{ include "metallb.fullname" . }}-controller]
  verbs: [get]
{{- end }}
{{- end }}

{{- define "metallb.speaker.clusterRights" -}}
- apiGroups: [""]
  resources: [services, nodes]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.frrk8s.external }}
- apiGroups: [frrk8s.metallb.io]
  resources: [frrconfigurations]
  verbs: [list, watch, create, update, delete]
{{- end }}
{{ include "metallb.metricsReviews" . }}
{{- end }}

{{- define "metallb.speaker.rights" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [metallb.io]
  resources: [ipaddresspools, l2advertisements, bgpadvertisements, bgppeers, bfdprofiles, communities]
  verbs: [list, watch]
- apiGroups: [metallb.io]
  resources: [servicel2statuses, servicebgpstatuses, bgpsessionstates]
  verbs: [create, list, watch, delete]
- apiGroups: [metallb.io]
  resources: [servicel2statuses/status, servicebgpstatuses/status, bgpsessionstates/status]
  verbs: [patch]
{{ include "metallb.configurationState" . }}
# Which Secrets BGPPeers will name is not known.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}

{{- define "metallb.configurationState" -}}
- apiGroups: [metallb.io]
  resources: [configurationstates]
  verbs: [create, list, watch, patch]
- apiGroups: [metallb.io]
  resources: [configurationstates/status]
  verbs: [patch]
{{- end }}

{{- define "metallb.metricsReviews" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
