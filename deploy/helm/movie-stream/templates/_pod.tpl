{{/* What the pods of all components have in common. All of these take (root, component). */}}

{{/* Annotations that change with what a pod reads at its start only, so that a change replaces it. */}}
{{- define "movie-stream.podMetadata" -}}
{{- $of := include "movie-stream.valuesOf" . | fromYaml -}}
labels:
  {{- include "movie-stream.podLabels" . | nindent 2 }}
  {{- with $of.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/settings: {{ include "movie-stream.settings" . | sha256sum }}
  {{- if eq (include "movie-stream.secretSource" .) "values" }}
  checksum/secrets: {{ include "movie-stream.secretData" . | sha256sum }}
  {{- end }}
  {{- if .root.Values.alerts.rules }}
  checksum/alerts: {{ .root.Values.alerts.rules | sha256sum }}
  {{- end }}
  {{- with $of.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The part of the values that is about a component. */}}
{{- define "movie-stream.valuesOf" -}}
{{- get .root.Values (get (dict "worker" "workers" "serve" "serve" "init" "init") .component) | toYaml -}}
{{- end -}}

{{/* A pod's spec but for its container. */}}
{{- define "movie-stream.podSpec" -}}
{{- $of := include "movie-stream.valuesOf" . | fromYaml -}}
serviceAccountName: {{ include "movie-stream.serviceAccount" . }}
automountServiceAccountToken: false
{{- /* A Service called "api" would be a variable API_PORT=tcp://... in each pod. */}}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with $of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $of.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ .topologyKey }}
    maxSkew: {{ .maxSkew }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "movie-stream.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ .root.Values.tmp.sizeLimit }}
  {{- $source := include "movie-stream.secretSource" . }}
  {{- if eq $source "csi" }}
  - name: secrets
    csi:
      driver: secrets-store.csi.k8s.io
      readOnly: true
      volumeAttributes:
        secretProviderClass: {{ (get .root.Values.secrets .component).csi.secretProviderClass }}
  {{- else if ne $source "directory" }}
  - name: secrets
    secret:
      secretName: {{ include "movie-stream.secretName" . }}
      defaultMode: 0440
      items:
        {{- range $name, $key := include "movie-stream.secretKeys" . | fromYaml }}
        - {key: {{ $key | quote }}, path: {{ $key | quote }}}
        {{- end }}
  {{- end }}
  {{- if and .root.Values.kafkaTls.existingSecret (ne .component "serve") }}
  - name: kafka-tls
    secret:
      secretName: {{ .root.Values.kafkaTls.existingSecret }}
      defaultMode: 0440
  {{- end }}
  {{- if and (include "movie-stream.alertsConfigMap" .root) (ne .component "init") }}
  - name: alerts
    configMap:
      name: {{ include "movie-stream.alertsConfigMap" .root }}
  {{- end }}
  {{- with .root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* A container but for its arguments, ports and probes; `alone` beside (root, component): another command of it. */}}
{{- define "movie-stream.container" -}}
name: {{ .component }}
image: {{ include "movie-stream.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
resources:
  {{- toYaml (include "movie-stream.valuesOf" . | fromYaml).resources | nindent 2 }}
envFrom:
  - configMapRef:
      name: {{ include "movie-stream.componentName" . }}
env:
  {{- $directory := include "movie-stream.secretDirectory" . }}
  {{- range $name, $key := include "movie-stream.secretKeys" . | fromYaml }}
  - {name: {{ $name }}_FILE, value: {{ printf "%s/%s" $directory $key | quote }}}
  {{- end }}
  {{- if .alone }}
  # It is no worker, whose metrics somebody would look for.
  - {name: METRICS_PORT, value: ""}
  {{- end }}
  {{- with .root.Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- if ne (include "movie-stream.secretSource" .) "directory" }}
  - {name: secrets, mountPath: {{ $directory }}, readOnly: true}
  {{- end }}
  {{- if and .root.Values.kafkaTls.existingSecret (ne .component "serve") }}
  - {name: kafka-tls, mountPath: /etc/movie-stream/kafka-tls, readOnly: true}
  {{- end }}
  {{- if and (include "movie-stream.alertsConfigMap" .root) (ne .component "init") }}
  - {name: alerts, mountPath: /etc/movie-stream/alerts, readOnly: true}
  {{- end }}
  {{- with .root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The three probes, at the named port. */}}
{{- define "movie-stream.probes" -}}
{{- $probes := dict -}}
{{- range $probe, $path := dict "startup" "live" "liveness" "live" "readiness" "ready" -}}
  {{- $asks := dict "httpGet" (dict "path" (printf "/health/%s" $path) "port" $.port) -}}
  {{- $_ := set $probes (printf "%sProbe" $probe) (merge $asks (get $.probes $probe)) -}}
{{- end -}}
{{- toYaml $probes -}}
{{- end -}}
