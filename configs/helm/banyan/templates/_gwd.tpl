{{/* The host that other regions dial, without brackets. */}}
{{- define "banyan.gwd.host" -}}
{{ regexReplaceAll ":[0-9]+$" .Values.config.gateway.advertise "" | trimPrefix "[" | trimSuffix "]" }}
{{- end }}

{{/* gwd.yaml as JSON, after all merges. */}}
{{- define "banyan.gwd.config" -}}
{{- $c := .Values.config -}}
{{- $g := $c.gateway -}}
{{- $cluster := dict
    "name" (include "banyan.cluster.name" .)
    "listen" (printf "0.0.0.0:%d" (int $c.cluster.port))
    "no_advertise" $c.cluster.noAdvertise
    "routes" (include "banyan.routes" . | fromJsonArray)
    "user" $c.cluster.routeURLs.user
    "password" (dict "file" (printf "/etc/banyan/routes/%s" $c.cluster.routeURLs.passwordKey)) -}}
{{- if $c.cluster.tls.enabled }}{{ $_ := set $cluster "tls" (include "banyan.tls.yaml" (dict "top" . "tls" $c.cluster.tls) | fromJson) }}{{ end -}}
{{- $remotes := list -}}
{{- range $g.remotes -}}
{{- $remotes = append $remotes (mustMergeOverwrite (dict "name" .name "urls" .urls) (deepCopy (.merge | default dict))) -}}
{{- end -}}
{{- $gateway := dict
    "listen" (printf "0.0.0.0:%d" (int $g.port))
    "reject_unknown" $g.rejectUnknown
    "connect" (dict "backoff" true)
    "remotes" $remotes -}}
{{- with $g.name }}{{ $_ := set $gateway "name" . }}{{ end -}}
{{- if $g.credentials.secretName }}{{ $_ := set $gateway "password" (dict "file" (printf "/etc/banyan/gateway/%s" $g.credentials.passwordKey)) }}{{ end -}}
{{- if $g.tls.enabled -}}
{{- $t := include "banyan.tls.yaml" (dict "top" . "tls" $g.tls) | fromJson -}}
{{- $_ := set $gateway "tls" (include "banyan.settings" (dict "node" $t "values" $g.tls) | fromJson) -}}
{{- end -}}
{{- $conf := dict
    "cluster" $cluster
    "gateway" (include "banyan.settings" (dict "node" $gateway "values" $g) | fromJson)
    "reload" (dict "watch" $c.reload.watch)
    "lifecycle" (dict "pid_file" "/var/run/banyan/gwd.pid" "drain" .Values.drain.duration "drain_grace" .Values.drain.grace "drain_on_term" true) -}}
{{- if $c.monitor.enabled -}}
{{- $_ := set $conf "monitor" (ternary (dict "https" (dict "listen" (printf "0.0.0.0:%d" (int $c.monitor.port)))) (dict "listen" (printf "0.0.0.0:%d" (int $c.monitor.port))) $c.monitor.tls.enabled) -}}
{{- end -}}
{{- with $c.merge.system_account }}{{ $_ := set $conf "auth" (dict "system_account" .) }}{{ end -}}
{{ toJson (mustMergeOverwrite $conf (deepCopy .Values.gwd.config)) }}
{{- end }}

{{- define "banyan.gwd.mounts" -}}
{{- $c := .Values.config -}}
{{- $m := list
    (dict "name" "config" "path" "/etc/banyan/gwd" "configMap" (printf "%s-config" (include "banyan.gwd.name" .)))
    (dict "name" "routes" "path" "/etc/banyan/routes" "secret" (include "banyan.routes.secret" .)) -}}
{{- with $c.gateway.credentials.secretName }}{{ $m = append $m (dict "name" "gateway" "path" "/etc/banyan/gateway" "secret" .) }}{{ end -}}
{{- if .Values.tlsCA.enabled }}{{ $m = append $m (include "banyan.mount.ca" . | fromJson) }}{{ end -}}
{{- range $p := list "cluster" "gateway" -}}
{{- $block := get $c $p -}}
{{- if $block.tls.enabled -}}
{{- $m = append $m (dict "name" (printf "tls-%s" $p) "path" $block.tls.dir "secret" (include "banyan.tls.secret" (dict "top" $ "tls" $block.tls "protocol" $p))) -}}
{{- end -}}
{{- end -}}
{{- if $c.monitor.tokenSecret.name }}{{ $m = append $m (dict "name" "monitor-token" "path" "/etc/banyan/monitor" "secret" $c.monitor.tokenSecret.name) }}{{ end -}}
{{ toJson $m }}
{{- end }}

{{- define "banyan.gwd.container" -}}
{{- $v := .Values.gwd.container -}}
{{- $c := .Values.config -}}
name: gwd
{{ include "banyan.image.fields" (dict "top" . "image" $v.image) }}
command: [gwd]
args: [--config, /etc/banyan/gwd/gwd.yaml]
ports:
  - name: gateway
    containerPort: {{ $c.gateway.port }}
    protocol: TCP
    {{- if $v.hostPort.enabled }}
    hostPort: {{ $v.hostPort.port }}
    {{- end }}
  - name: cluster
    containerPort: {{ $c.cluster.port }}
    protocol: TCP
  {{- if $c.monitor.enabled }}
  - name: monitor
    containerPort: {{ $c.monitor.port }}
    protocol: TCP
  {{- end }}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: NODE_NAME
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  - name: HOST_IP
    valueFrom: {fieldRef: {fieldPath: status.hostIP}}
  - name: GWD_SERVER_NAME
    value: {{ printf "%s$(POD_NAME)" $c.serverNamePrefix | quote }}
  {{- with include "banyan.memoryLimit" $v }}
  - name: GOMEMLIMIT
    value: {{ . }}
  {{- end }}
  {{- with $c.gateway.advertise }}
  - name: GWD_GATEWAY_ADVERTISE
    value: {{ . | quote }}
  {{- end }}
  {{- with $c.gateway.credentials }}
  {{- if .secretName }}
  - name: GWD_GATEWAY_USER
    valueFrom: {secretKeyRef: {name: {{ .secretName }}, key: {{ .userKey }}}}
  {{- end }}
  {{- end }}
  {{- with $c.monitor.tokenSecret }}
  {{- if .name }}
  - name: GWD_MONITOR_AUTH_TOKEN_FILE
    value: /etc/banyan/monitor/{{ .key }}
  {{- end }}
  {{- end }}
  {{- include "banyan.env" $v.env | nindent 2 }}
{{- with $v.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
lifecycle:
  preStop:
    exec:
      command: [gwd, drain, /var/run/banyan/gwd.pid]
{{ include "banyan.probes" (dict "top" . "container" $v) }}
volumeMounts:
  - name: run
    mountPath: /var/run/banyan
  {{- include "banyan.volumeMounts" (include "banyan.gwd.mounts" . | fromJsonArray) | nindent 2 }}
{{- end }}

{{- define "banyan.gwd.pod" -}}
metadata:
  labels:
    {{- include "banyan.podLabels" (dict "top" . "component" "gwd") | nindent 4 }}
  {{- $annotations := .Values.gwd.podTemplate.annotations }}
  {{- if .Values.gwd.podTemplate.configChecksumAnnotation }}
  {{- $annotations = merge (dict "checksum/config" (include "banyan.gwd.config" . | sha256sum)) $annotations }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if .Values.serviceAccount.enabled }}
  serviceAccountName: {{ include "banyan.serviceAccount.name" . }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "banyan.grace" (dict "top" . "drain" (dig "lifecycle" "drain" "" (include "banyan.gwd.config" . | fromJson)) "path" "gwd.config.lifecycle.drain") }}
  {{- include "banyan.scheduling" (dict "top" . "component" "gwd" "podTemplate" .Values.gwd.podTemplate) | nindent 2 }}
  containers:
    -
      {{- include "banyan.object" (dict "doc" (include "banyan.gwd.container" .) "values" .Values.gwd.container) | nindent 6 }}
  volumes:
    - name: run
      emptyDir: {}
    {{- include "banyan.volumes" (include "banyan.gwd.mounts" . | fromJsonArray) | nindent 4 }}
{{- end }}

{{- define "banyan.gwd.workload" -}}
apiVersion: apps/v1
kind: {{ .Values.gwd.kind }}
{{ include "banyan.metadata" (dict "top" . "component" "gwd" "name" (include "banyan.gwd.name" .)) }}
spec:
  replicas: {{ .Values.gwd.replicas }}
  {{- if eq .Values.gwd.kind "StatefulSet" }}
  serviceName: {{ include "banyan.gwd.name" . }}-headless
  podManagementPolicy: Parallel
  {{- else }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: {{ ternary 1 0 .Values.gwd.container.hostPort.enabled }}}
  {{- end }}
  selector:
    matchLabels:
      {{- include "banyan.selectorLabels" (dict "top" . "component" "gwd") | nindent 6 }}
  template:
    {{- include "banyan.object" (dict "doc" (include "banyan.gwd.pod" .) "values" .Values.gwd.podTemplate) | nindent 4 }}
{{- end }}
