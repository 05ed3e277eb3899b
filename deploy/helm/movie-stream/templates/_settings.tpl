{{/* What the processes are told: settings, and files with secrets. All of these take (root, component). */}}

{{/* A number of a values file as it was written: Helm reads 67108864 as 6.7108864e+07. */}}
{{- define "movie-stream.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* The component's settings by name, as YAML: those it has a use for. */}}
{{- define "movie-stream.settings" -}}
{{- $root := .root -}}
{{- $keys := include "movie-stream.secretKeys" . | fromYaml -}}
{{- $unused := dict
  "worker" "^(API_|MONGODB_.*_USERNAME$)"
  "serve" "^(KAFKA_BOOTSTRAP_SERVERS|KAFKA_SECURITY_PROTOCOL|KAFKA_SASL_.*|KAFKA_TLS_.*|MONGODB_(WORKER|BI)_USERNAME)$"
  "init" "^(API_|METRICS_|ALERTS_)" -}}
{{- $settings := dict -}}
{{- range $name, $value := merge (dict) $root.Values.settings (include "movie-stream.ownSettings" . | fromYaml) -}}
  {{- $mine := not (regexMatch (get $unused $.component) $name) -}}
  {{- /* serve logs in as the reader where both the name and the password are there. */ -}}
  {{- if and (eq $.component "serve") (eq $name "MONGODB_READER_USERNAME") (not (hasKey $keys "MONGODB_READER_PASSWORD")) -}}
    {{- $mine = false -}}
  {{- end -}}
  {{- if and $mine (not (kindIs "invalid" $value)) -}}
    {{- $_ := set $settings $name (include "movie-stream.text" $value) -}}
  {{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Settings that follow from what is mounted. */}}
{{- define "movie-stream.ownSettings" -}}
{{- with .root.Values.kafkaTls -}}
{{- if .existingSecret }}
{{- range $setting, $key := dict "KAFKA_TLS_CA" .ca "KAFKA_TLS_CERTIFICATE" .certificate "KAFKA_TLS_KEY" .key }}
{{- if $key }}
{{ $setting }}: /etc/movie-stream/kafka-tls/{{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "movie-stream.alertsConfigMap" .root }}
ALERTS_FILE: /etc/movie-stream/alerts/alerts.toml
{{- end }}
{{- end -}}

{{- define "movie-stream.alertsConfigMap" -}}
{{- with .Values.alerts -}}
{{- if .existingConfigMap -}}
{{ .existingConfigMap }}
{{- else if .rules -}}
{{ include "movie-stream.fullname" $ }}-alerts
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Which source a component's secrets have: of each that is set its name, joined; the checks want exactly one. */}}
{{- define "movie-stream.secretSource" -}}
{{- $from := get .root.Values.secrets .component -}}
{{- $set := list -}}
{{- if $from.values }}{{ $set = append $set "values" }}{{ end -}}
{{- if $from.existingSecret }}{{ $set = append $set "existingSecret" }}{{ end -}}
{{- if $from.csi.secretProviderClass }}{{ $set = append $set "csi" }}{{ end -}}
{{- if $from.directory }}{{ $set = append $set "directory" }}{{ end -}}
{{- join " and " $set -}}
{{- end -}}

{{/* The secret settings that a component has, each with the key or file that it stands in, as YAML. */}}
{{- define "movie-stream.secretKeys" -}}
{{- $from := get .root.Values.secrets .component -}}
{{- $alerts := ternary .root.Values.alerts (dict) (eq .component "worker") -}}
{{- $keys := dict -}}
{{- if $from.values -}}
  {{- range $name := concat (keys $from.values) (keys ($alerts.secretValues | default dict)) -}}
    {{- $_ := set $keys $name $name -}}
  {{- end -}}
{{- else -}}
  {{- range $name, $key := merge (dict) $from.keys ($alerts.secretKeys | default dict) -}}
    {{- if $key }}{{ $_ := set $keys $name $key }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- /* Without a token there is none to show. */ -}}
{{- if and (eq .component "serve") .root.Values.serve.insecure -}}
  {{- $keys = omit $keys "API_TOKEN" -}}
{{- end -}}
{{- toYaml $keys -}}
{{- end -}}

{{- define "movie-stream.secretDirectory" -}}
{{- get (get .root.Values.secrets .component) "directory" | default "/run/secrets/movie-stream" | trimSuffix "/" -}}
{{- end -}}

{{/* The name of the Secret that a component's secrets stand in; nothing where they come as files. */}}
{{- define "movie-stream.secretName" -}}
{{- $source := include "movie-stream.secretSource" . -}}
{{- if eq $source "values" -}}
{{ include "movie-stream.componentName" . }}
{{- else if eq $source "existingSecret" -}}
{{ get (get .root.Values.secrets .component) "existingSecret" }}
{{- end -}}
{{- end -}}

{{/* The data of the Secret that the chart makes. */}}
{{- define "movie-stream.secretData" -}}
{{- $from := get .root.Values.secrets .component -}}
{{- $alerts := ternary .root.Values.alerts (dict) (eq .component "worker") -}}
{{- $data := dict -}}
{{- range $name, $value := merge (dict) $from.values ($alerts.secretValues | default dict) -}}
  {{- $_ := set $data $name ($value | b64enc) -}}
{{- end -}}
{{- toYaml $data -}}
{{- end -}}
