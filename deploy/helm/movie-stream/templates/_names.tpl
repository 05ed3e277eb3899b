{{/* Names and labels. */}}

{{- define "movie-stream.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the longest suffix that is added to it. */}}
{{- define "movie-stream.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of a component's objects; of (root, component). */}}
{{- define "movie-stream.componentName" -}}
{{- printf "%s-%s" (include "movie-stream.fullname" .root) .component -}}
{{- end -}}

{{/* What a component's pods are chosen by; it may never change. */}}
{{- define "movie-stream.selector" -}}
app.kubernetes.io/name: {{ include "movie-stream.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Of pods; they change with the version alone, so that nothing else of the chart replaces pods. */}}
{{- define "movie-stream.podLabels" -}}
{{ include "movie-stream.selector" . }}
app.kubernetes.io/version: {{ include "movie-stream.version" .root | quote }}
{{- end -}}

{{/* The version that runs, as far as the values say it; cut to what a label may be. */}}
{{- define "movie-stream.version" -}}
{{- $digest := .Values.image.digest | replace ":" "-" | trunc 19 -}}
{{- .Values.image.tag | default $digest | default .Chart.AppVersion | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{- define "movie-stream.labels" -}}
{{ include "movie-stream.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The metadata of a component's object; with a hook (an event) it is made before it, and again each time. */}}
{{- define "movie-stream.metadata" -}}
name: {{ .name | default (include "movie-stream.componentName" .) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "movie-stream.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .hook .annotations }}
annotations:
  {{- with .hook }}
  helm.sh/hook: {{ . }}
  helm.sh/hook-weight: {{ $.weight | default "-10" | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  {{- end }}
  {{- with .annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The event before which a component's objects have to be there, if its pod runs as a hook. */}}
{{- define "movie-stream.hook" -}}
{{- if eq .component "init" -}}pre-install,pre-upgrade{{- end -}}
{{- end -}}

{{- define "movie-stream.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "movie-stream.serviceAccount" -}}
{{- if .root.Values.serviceAccount.create -}}
{{ include "movie-stream.componentName" . }}
{{- else -}}
{{ .root.Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* The components that there are, as YAML. */}}
{{- define "movie-stream.components" -}}
- worker
{{- if .Values.serve.enabled }}
- serve
{{- end }}
{{- if .Values.init.enabled }}
- init
{{- end }}
{{- end -}}
