{{/* asks: whether those who connect to leafd must say who they are. */}}
{{- define "banyan.leafd.asks" -}}
{{- if or (eq .Values.leafd.kind "Deployment") (and (eq .Values.leafd.kind "DaemonSet") (not .Values.leafd.hostNetwork)) }}true{{ end -}}
{{- end }}

{{/* leafd.yaml as JSON, after all merges. */}}
{{- define "banyan.leafd.config" -}}
{{- $v := .Values.leafd -}}
{{- $asks := include "banyan.leafd.asks" . -}}
{{- $upstreams := list -}}
{{- range $i, $r := $v.upstreams -}}
{{- $upstreams = append $upstreams (include "banyan.leafd.upstream" (dict "top" $ "remote" $r "dir" (printf "/etc/banyan/remotes/%d" $i)) | fromJson) -}}
{{- end -}}
{{- if not $upstreams -}}
{{- $l := .Values.config.leafnodes -}}
{{- $u := dict "name" "hub" "urls" (list (printf "%s://%s.%s.svc:%d" (ternary "tls" "nats" $l.tls.enabled) (include "banyan.service.name" .) (include "banyan.namespace" .) (int $l.port))) -}}
{{- if and $l.tls.enabled .Values.tlsCA.enabled }}{{ $_ := set $u "tls" (dict "ca" (printf "%s/%s" .Values.tlsCA.dir .Values.tlsCA.key)) }}{{ end -}}
{{- $upstreams = list $u -}}
{{- end -}}
{{- $conf := dict
    "clients" (dict "listen" (printf "%s:%d" (ternary "0.0.0.0" "127.0.0.1" (eq $asks "true")) (int $v.port)))
    "upstreams" $upstreams
    "reload" (dict "watch" .Values.config.reload.watch)
    "lifecycle" (dict "pid_file" "/var/run/banyan/leafd.pid") -}}
{{- if eq $asks "true" -}}
{{- $_ := set $conf "listen" (dict "allow_lan" true) -}}
{{- $_ := set $conf "auth" (dict "password" (dict "file" (printf "/etc/banyan/clients/%s" $v.auth.passwordKey))) -}}
{{- end -}}
{{- if .Values.config.monitor.enabled -}}
{{- $_ := set $conf "monitor" (dict "listen" (printf "%s:%d" (ternary "127.0.0.1" "0.0.0.0" (and (eq $v.kind "DaemonSet") $v.hostNetwork)) (int .Values.config.monitor.port))) -}}
{{- end -}}
{{ toJson (mustMergeOverwrite $conf (deepCopy $v.config)) }}
{{- end }}

{{- define "banyan.leafd.upstream" -}}
{{- $r := .remote -}}
{{- $conf := dict "urls" $r.urls -}}
{{- with $r.name }}{{ $_ := set $conf "name" . }}{{ end -}}
{{- with $r.localAccount }}{{ $_ := set $conf "local_account" . }}{{ end -}}
{{- with $r.credentials }}{{ $_ := set $conf "credentials" (printf "%s/credentials/%s" $.dir .key) }}{{ end -}}
{{- with $r.nkey }}{{ $_ := set $conf "seed" (dict "file" (printf "%s/nkey/%s" $.dir .key)) }}{{ end -}}
{{- with $r.user -}}
{{- if not .user }}{{ fail "leafd.upstreams[].user.user: the user's name; the password comes from secretName" }}{{ end -}}
{{- $_ := set $conf "user" .user -}}
{{- $_ := set $conf "password" (dict "file" (printf "%s/user/%s" $.dir (.passwordKey | default "password"))) -}}
{{- end -}}
{{- with $r.tls -}}
{{- if .enabled -}}
{{- $t := dict -}}
{{- if .secretName -}}
{{- $_ := set $t "cert" (printf "%s/tls/%s" $.dir (.cert | default "tls.crt")) -}}
{{- $_ := set $t "key" (printf "%s/tls/%s" $.dir (.key | default "tls.key")) -}}
{{- end -}}
{{- if $.top.Values.tlsCA.enabled }}{{ $_ := set $t "ca" (printf "%s/%s" $.top.Values.tlsCA.dir $.top.Values.tlsCA.key) }}
{{- else if .secretName }}{{ $_ := set $t "ca" (printf "%s/tls/%s" $.dir (.ca | default "ca.crt")) }}{{ end -}}
{{- $_ := set $conf "tls" $t -}}
{{- end -}}
{{- end -}}
{{ toJson (mustMergeOverwrite $conf (deepCopy ($r.merge | default dict))) }}
{{- end }}

{{- define "banyan.leafd.mounts" -}}
{{- $v := .Values.leafd -}}
{{- $m := list (dict "name" "leafd-config" "path" "/etc/banyan/leafd" "configMap" (printf "%s-config" (include "banyan.leafd.name" .))) -}}
{{- if include "banyan.leafd.asks" . }}{{ $m = append $m (dict "name" "leafd-clients" "path" "/etc/banyan/clients" "secret" (include "banyan.leafd.clients.secret" .)) }}{{ end -}}
{{- if .Values.tlsCA.enabled }}{{ $m = append $m (include "banyan.mount.ca" . | fromJson) }}{{ end -}}
{{- with .Values.config.monitor.tokenSecret.name }}{{ $m = append $m (dict "name" "monitor-token" "path" "/etc/banyan/monitor" "secret" .) }}{{ end -}}
{{- range $i, $r := $v.upstreams -}}
{{- $m = concat $m (include "banyan.mounts.remote" (dict "remote" $r "index" $i) | fromJsonArray) -}}
{{- end -}}
{{ toJson $m }}
{{- end }}

{{- define "banyan.leafd.container" -}}
{{- $v := .Values.leafd -}}
{{- $c := .Values.config -}}
{{- $alone := or (eq $v.kind "Sidecar") $v.hostNetwork -}}
name: leafd
{{ include "banyan.image.fields" (dict "top" . "image" $v.container.image) }}
command: [leafd]
args: [--config, /etc/banyan/leafd/leafd.yaml]
ports:
  - name: leaf
    containerPort: {{ $v.port }}
    protocol: TCP
    {{- if and (eq $v.kind "DaemonSet") (not $v.hostNetwork) $v.hostPort.enabled }}
    hostPort: {{ $v.port }}
    {{- with $v.hostPort.ip }}
    hostIP: {{ . }}
    {{- end }}
    {{- end }}
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
  - name: LEAFD_SERVER_NAME
    value: {{ printf "%s$(%s)" $v.serverNamePrefix (ternary "NODE_NAME" "POD_NAME" (eq $v.kind "DaemonSet")) | quote }}
  {{- with include "banyan.memoryLimit" $v.container }}
  - name: GOMEMLIMIT
    value: {{ . }}
  {{- end }}
  {{- if include "banyan.leafd.asks" . }}
  - name: LEAFD_AUTH_USER
    valueFrom: {secretKeyRef: {name: {{ include "banyan.leafd.clients.secret" . }}, key: {{ $v.auth.userKey }}}}
  {{- end }}
  {{- with $c.monitor.tokenSecret }}
  {{- if .name }}
  - name: LEAFD_MONITOR_AUTH_TOKEN_FILE
    value: /etc/banyan/monitor/{{ .key }}
  {{- end }}
  {{- end }}
  {{- include "banyan.env" $v.container.env | nindent 2 }}
{{- with $v.container.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.container.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $probes := dict "top" . "container" $v.container "plain" true }}
{{- if and (eq $v.kind "DaemonSet") $v.hostNetwork }}{{ $_ := set $probes "host" "127.0.0.1" }}{{ end }}
{{ include "banyan.probes" $probes }}
volumeMounts:
  - name: leafd-run
    mountPath: /var/run/banyan
  {{- include "banyan.volumeMounts" (include "banyan.leafd.mounts" . | fromJsonArray) | nindent 2 }}
{{- end }}

{{- define "banyan.leafd.volumes" -}}
- name: leafd-run
  emptyDir: {}
{{- include "banyan.volumes" (include "banyan.leafd.mounts" . | fromJsonArray) }}
{{- end }}

{{- define "banyan.leafd.pod" -}}
{{- $v := .Values.leafd -}}
metadata:
  labels:
    {{- include "banyan.podLabels" (dict "top" . "component" "leafd") | nindent 4 }}
  {{- $annotations := $v.podTemplate.annotations }}
  {{- if $v.podTemplate.configChecksumAnnotation }}
  {{- $annotations = merge (dict "checksum/config" (include "banyan.leafd.config" . | sha256sum)) $annotations }}
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
  terminationGracePeriodSeconds: 30
  {{- if and (eq $v.kind "DaemonSet") $v.hostNetwork }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  {{- include "banyan.scheduling" (dict "top" . "component" "leafd" "podTemplate" $v.podTemplate) | nindent 2 }}
  containers:
    -
      {{- include "banyan.object" (dict "doc" (include "banyan.leafd.container" .) "values" $v.container) | nindent 6 }}
  volumes:
    {{- include "banyan.leafd.volumes" . | nindent 4 }}
{{- end }}

{{- define "banyan.leafd.workload" -}}
{{- $v := .Values.leafd -}}
apiVersion: apps/v1
kind: {{ $v.kind }}
{{ include "banyan.metadata" (dict "top" . "component" "leafd" "name" (include "banyan.leafd.name" .)) }}
spec:
  {{- if eq $v.kind "Deployment" }}
  replicas: {{ $v.replicas }}
  {{- else }}
  updateStrategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 1}
  {{- end }}
  selector:
    matchLabels:
      {{- include "banyan.selectorLabels" (dict "top" . "component" "leafd") | nindent 6 }}
  template:
    {{- include "banyan.object" (dict "doc" (include "banyan.leafd.pod" .) "values" $v.podTemplate) | nindent 4 }}
{{- end }}

{{/*
For pods of other charts: the container, as an item of initContainers with restartPolicy Always (Kubernetes 1.29 and later), so
that it is there before the others and leaves after them; and its volumes. The pod's programs connect to 127.0.0.1.
Needs leafd.enabled and leafd.kind Sidecar in the release whose values are used.
*/}}
{{- define "banyan.leafd.sidecar" -}}
- restartPolicy: Always
  {{- include "banyan.object" (dict "doc" (include "banyan.leafd.container" .) "values" .Values.leafd.container) | nindent 2 }}
{{- end }}
{{- define "banyan.leafd.sidecar.volumes" -}}
{{ include "banyan.leafd.volumes" . }}
{{- end }}
