{{/* What a schema cannot say, each in one line. */}}

{{/* The most workers that are of use: the partitions. */}}
{{- define "movie-stream.maxWorkers" -}}
{{- .Values.workers.autoscaling.maxReplicas | default .Values.settings.KAFKA_PARTITIONS | int -}}
{{- end -}}

{{- define "movie-stream.check" -}}
{{- $partitions := int .Values.settings.KAFKA_PARTITIONS -}}
{{- if not .Values.settings.KAFKA_BOOTSTRAP_SERVERS -}}
  {{- fail "settings.KAFKA_BOOTSTRAP_SERVERS: expected the addresses of your Kafka (host:port), got none" -}}
{{- end -}}
{{- include "movie-stream.checkImage" . -}}
{{- include "movie-stream.checkSettings" . -}}
{{- range $component := include "movie-stream.components" . | fromYamlArray -}}
  {{- $source := include "movie-stream.secretSource" (dict "root" $ "component" $component) -}}
  {{- if or (not $source) (contains " and " $source) -}}
    {{- fail (printf "secrets.%s: expected exactly one of values, existingSecret, csi.secretProviderClass and directory, got %s" $component ($source | default "none")) -}}
  {{- end -}}
  {{- $keys := include "movie-stream.secretKeys" (dict "root" $ "component" $component) | fromYaml -}}
  {{- if not (hasKey $keys "MONGODB_URI") -}}
    {{- fail (printf "secrets.%s: expected MONGODB_URI in it, got %s" $component (keys $keys | sortAlpha | join ", " | default "nothing")) -}}
  {{- end -}}
  {{- $sasl := hasPrefix "SASL_" (upper ($.Values.settings.KAFKA_SECURITY_PROTOCOL | default "")) -}}
  {{- if and (ne $component "serve") $sasl (not (hasKey $keys "KAFKA_SASL_PASSWORD")) -}}
    {{- fail (printf "secrets.%s: expected KAFKA_SASL_PASSWORD in it, since settings.KAFKA_SECURITY_PROTOCOL is %s" $component $.Values.settings.KAFKA_SECURITY_PROTOCOL) -}}
  {{- end -}}
{{- end -}}
{{- with .Values.workers -}}
  {{- if and (not .stopped) (eq .autoscaling.type "none") (gt (int .replicas) $partitions) -}}
    {{- fail (printf "workers.replicas: expected at most settings.KAFKA_PARTITIONS, which is %d, since more would have nothing to do; got %d" $partitions (int .replicas)) -}}
  {{- end -}}
  {{- if ne .autoscaling.type "none" -}}
    {{- $most := int (include "movie-stream.maxWorkers" $) -}}
    {{- if gt $most $partitions -}}
      {{- fail (printf "workers.autoscaling.maxReplicas: expected at most settings.KAFKA_PARTITIONS, which is %d, since more would have nothing to do; got %d" $partitions $most) -}}
    {{- end -}}
    {{- if gt (int .autoscaling.minReplicas) $most -}}
      {{- fail (printf "workers.autoscaling.minReplicas: expected at most the largest number of workers, which is %d, got %d" $most (int .autoscaling.minReplicas)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.alerts.rules .Values.alerts.existingConfigMap -}}
  {{- fail "alerts: expected either rules or existingConfigMap, got both" -}}
{{- end -}}
{{- if and (include "movie-stream.alertsConfigMap" .) .Values.settings.ALERTS_FILE -}}
  {{- fail "settings.ALERTS_FILE: expected none, since alerts.rules or alerts.existingConfigMap is set" -}}
{{- end -}}
{{- if and .Values.alerts.secretValues (not .Values.secrets.worker.values) -}}
  {{- fail "alerts.secretValues: expected secrets.worker.values beside them; with another source of secrets name them in alerts.secretKeys" -}}
{{- end -}}
{{- if and .Values.serve.enabled (not .Values.serve.insecure) (not (hasKey (include "movie-stream.secretKeys" (dict "root" . "component" "serve") | fromYaml) "API_TOKEN")) -}}
  {{- fail "secrets.serve: expected API_TOKEN in it, or serve.insecure: true where everybody may read the results" -}}
{{- end -}}
{{- if and .Values.serve.enabled .Values.serve.ingress.enabled (not .Values.serve.ingress.host) -}}
  {{- fail "serve.ingress.host: expected a host name, got none" -}}
{{- end -}}
{{- if and .Values.serve.enabled (eq (int .Values.settings.API_PORT) (int .Values.settings.METRICS_PORT)) -}}
  {{- fail (printf "settings.API_PORT: expected another port than METRICS_PORT, which is %d" (int .Values.settings.METRICS_PORT)) -}}
{{- end -}}
{{- if le (int .Values.serve.terminationGracePeriodSeconds) (int .Values.serve.drainSeconds) -}}
  {{- fail "serve.terminationGracePeriodSeconds: expected more than serve.drainSeconds" -}}
{{- end -}}
{{- end -}}

{{/* Without a registry, a node would ask Docker Hub for an image of this name, which is somebody else's. */}}
{{- define "movie-stream.checkImage" -}}
{{- with .Values.image -}}
  {{- if not .repository -}}
    {{- fail "image.repository: expected where your cluster pulls the image from, such as registry.example.org/movie-stream, got none" -}}
  {{- end -}}
  {{- if and (ne .pullPolicy "Never") (not (regexMatch "^([^/]*[.:][^/]*|localhost)/." .repository)) -}}
    {{- fail (printf "image.repository: expected one with its registry, such as registry.example.org/movie-stream, or image.pullPolicy: Never where the nodes have the image; got %s" .repository) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Settings that a process would refuse at its start, or that leave it unreachable. */}}
{{- define "movie-stream.checkSettings" -}}
{{- with .Values.settings -}}
  {{- range $name := list "METRICS_HOST" "API_HOST" -}}
    {{- if not (has (get $.Values.settings $name) (list "0.0.0.0" "::")) -}}
      {{- fail (printf "settings.%s: expected 0.0.0.0, or \"::\" where pods have IPv6, since probes and Services come to a pod by its own address; got %s" $name (get $.Values.settings $name)) -}}
    {{- end -}}
  {{- end -}}
  {{- $protocol := .KAFKA_SECURITY_PROTOCOL | default "" -}}
  {{- if hasPrefix "SASL_" (upper $protocol) -}}
    {{- range $name := list "KAFKA_SASL_MECHANISM" "KAFKA_SASL_USERNAME" -}}
      {{- if not (get $.Values.settings $name) -}}
        {{- fail (printf "settings.%s: expected one, since settings.KAFKA_SECURITY_PROTOCOL is %s, got none" $name $protocol) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.init.enabled .Values.init.createUsers -}}
  {{- $keys := include "movie-stream.secretKeys" (dict "root" . "component" "init") | fromYaml -}}
  {{- range $user := list "WORKER" "READER" "BI" -}}
    {{- $username := printf "MONGODB_%s_USERNAME" $user -}}
    {{- $password := printf "MONGODB_%s_PASSWORD" $user -}}
    {{- $named := get $.Values.settings $username -}}
    {{- if and (not $named) (or (hasKey $keys $password) (not (or (eq $user "READER") (eq $user "BI") $.Values.settings.MONGODB_READER_USERNAME $.Values.settings.MONGODB_BI_USERNAME))) -}}
      {{- fail (printf "settings.%s: expected the name of a user to make, since init.createUsers is true, got none" $username) -}}
    {{- end -}}
    {{- if and $named (not (hasKey $keys $password)) -}}
      {{- fail (printf "secrets.init: expected %s in it, since init.createUsers makes the user %s" $password $named) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
