{{/* hubd.config is nats.conf as JSON, after all merges. */}}
{{- define "banyan.hubd.config" -}}
{{- $c := .Values.config -}}
{{- $conf := dict
    "server_name" "<< $SERVER_NAME >>"
    "port" $c.nats.port
    "pid_file" "/var/run/nats/nats.pid"
    "lame_duck_duration" .Values.drain.duration
    "lame_duck_grace_period" .Values.drain.grace
    "lame_duck_on_term" true
    "reload" (dict "watch" $c.reload.watch) -}}
{{- if $c.nats.tls.enabled -}}
{{- $_ := set $conf "tls" (include "banyan.tls.conf" (dict "top" . "tls" $c.nats.tls) | fromJson) -}}
{{- end -}}
{{- if $c.cluster.enabled -}}
{{- $_ := set $conf "cluster" (include "banyan.hubd.cluster" . | fromJson) -}}
{{- end -}}
{{- if or $c.leafnodes.enabled $c.leafnodes.remotes $c.leafnodes.merge -}}
{{- $_ := set $conf "leafnodes" (include "banyan.hubd.leafnodes" . | fromJson) -}}
{{- end -}}
{{- if $c.websocket.enabled -}}
{{- $w := dict "port" $c.websocket.port -}}
{{- if $c.websocket.tls.enabled }}{{ $_ := set $w "tls" (include "banyan.tls.conf" (dict "top" . "tls" $c.websocket.tls) | fromJson) }}
{{- else }}{{ $_ := set $w "no_tls" true }}{{ end -}}
{{- $_ := set $conf "websocket" (include "banyan.settings" (dict "node" $w "values" $c.websocket) | fromJson) -}}
{{- end -}}
{{- if $c.monitor.enabled -}}
{{- $_ := set $conf (ternary "https_port" "http_port" $c.monitor.tls.enabled) $c.monitor.port -}}
{{- end -}}
{{- if $c.profiling.enabled }}{{ $_ := set $conf "prof_port" $c.profiling.port }}{{ end -}}
{{- if $c.resolver.enabled -}}
{{- $r := dict "type" "full" "dir" $c.resolver.dir -}}
{{- $_ := set $conf "resolver" (include "banyan.settings" (dict "node" $r "values" $c.resolver) | fromJson) -}}
{{- end -}}
{{ include "banyan.settings" (dict "node" $conf "values" $c) }}
{{- end }}

{{- define "banyan.hubd.cluster" -}}
{{- $k := .Values.config.cluster -}}
{{- $conf := dict
    "name" (include "banyan.cluster.name" .)
    "port" $k.port
    "no_advertise" $k.noAdvertise
    "authorization" (dict "user" $k.routeURLs.user)
    "routes" (include "banyan.routes" . | fromJsonArray) -}}
{{- if $k.tls.enabled -}}
{{- $_ := set $conf "tls" (include "banyan.tls.conf" (dict "top" . "tls" $k.tls "mutual" true) | fromJson) -}}
{{- end -}}
{{ include "banyan.settings" (dict "node" $conf "values" $k) }}
{{- end }}

{{- define "banyan.hubd.leafnodes" -}}
{{- $l := .Values.config.leafnodes -}}
{{- $conf := dict -}}
{{- if $l.enabled -}}
{{- $conf = dict "port" $l.port "no_advertise" true -}}
{{- if $l.tls.enabled -}}
{{- $_ := set $conf "tls" (include "banyan.tls.conf" (dict "top" . "tls" $l.tls) | fromJson) -}}
{{- end -}}
{{- end -}}
{{- $remotes := list -}}
{{- range $i, $r := $l.remotes -}}
{{- $remotes = append $remotes (include "banyan.hubd.remote" (dict "top" $ "remote" $r "dir" (printf "/etc/banyan/remotes/%d" $i)) | fromJson) -}}
{{- end -}}
{{- if $remotes }}{{ $_ := set $conf "remotes" $remotes }}{{ end -}}
{{ include "banyan.settings" (dict "node" $conf "values" $l) }}
{{- end }}

{{/* A hub that is dialed, in native names: dict top, remote, dir. */}}
{{- define "banyan.hubd.remote" -}}
{{- $r := .remote -}}
{{- $conf := dict "urls" $r.urls -}}
{{- with $r.account }}{{ $_ := set $conf "account" . }}{{ end -}}
{{- with $r.credentials }}{{ $_ := set $conf "credentials" (printf "%s/credentials/%s" $.dir .key) }}{{ end -}}
{{- with $r.nkey }}{{ $_ := set $conf "nkey" (printf "%s/nkey/%s" $.dir .key) }}{{ end -}}
{{- with $r.tls -}}
{{- if .enabled -}}
{{- $t := dict -}}
{{- with .secretName -}}
{{- $_ := set $t "cert_file" (printf "%s/tls/%s" $.dir ($r.tls.cert | default "tls.crt")) -}}
{{- $_ := set $t "key_file" (printf "%s/tls/%s" $.dir ($r.tls.key | default "tls.key")) -}}
{{- end -}}
{{- if $.top.Values.tlsCA.enabled }}{{ $_ := set $t "ca_file" (printf "%s/%s" $.top.Values.tlsCA.dir $.top.Values.tlsCA.key) }}
{{- else if .secretName }}{{ $_ := set $t "ca_file" (printf "%s/tls/%s" $.dir (.ca | default "ca.crt")) }}{{ end -}}
{{- $_ := set $conf "tls" $t -}}
{{- end -}}
{{- end -}}
{{ include "banyan.settings" (dict "node" $conf "values" $r) }}
{{- end }}

{{/* nats.conf as it stands in the ConfigMap or Secret. */}}
{{- define "banyan.hubd.file" -}}
{{- $conf := include "banyan.hubd.config" . | fromJson -}}
{{- if eq .Values.config.storeIn "ConfigMap" -}}
{{- $advice := "Write << $NAME >> there and take NAME from a Secret in container.env; or put these settings into a Secret and name it in config.includes; or set config.storeIn: Secret." -}}
{{- include "banyan.refuseClear" (dict "node" $conf "path" "" "advice" $advice) -}}
{{- end -}}
# Made by Helm from the values config.*; changes are read without a restart.
{{ include "banyan.conf" (dict "map" $conf "indent" "") -}}
{{- range .Values.config.includes -}}
include {{ printf "/etc/banyan/includes/%s/%s" .secretName .key | toRawJson }}{{ "\n" }}
{{- end -}}
{{- end }}

{{/* The ports that are open: a list of name, port and protocol. */}}
{{- define "banyan.hubd.ports" -}}
{{- $c := .Values.config -}}
{{- $ports := list (dict "name" "nats" "port" $c.nats.port) -}}
{{- if $c.cluster.enabled }}{{ $ports = append $ports (dict "name" "cluster" "port" $c.cluster.port) }}{{ end -}}
{{- if $c.leafnodes.enabled }}{{ $ports = append $ports (dict "name" "leafnodes" "port" $c.leafnodes.port) }}{{ end -}}
{{- if $c.websocket.enabled }}{{ $ports = append $ports (dict "name" "websocket" "port" $c.websocket.port) }}{{ end -}}
{{- if $c.monitor.enabled }}{{ $ports = append $ports (dict "name" "monitor" "port" $c.monitor.port) }}{{ end -}}
{{ toJson $ports }}
{{- end }}

{{/* What is mounted: a list of {name, path, volume}. */}}
{{- define "banyan.hubd.mounts" -}}
{{- $c := .Values.config -}}
{{- $m := list -}}
{{- if eq $c.storeIn "Secret" -}}
{{- $m = append $m (dict "name" "config" "path" "/etc/nats-config" "secret" (include "banyan.config.name" .)) -}}
{{- else -}}
{{- $m = append $m (dict "name" "config" "path" "/etc/nats-config" "configMap" (include "banyan.config.name" .)) -}}
{{- end -}}
{{- if .Values.tlsCA.enabled }}{{ $m = append $m (include "banyan.mount.ca" . | fromJson) }}{{ end -}}
{{- if $c.cluster.enabled }}{{ $m = append $m (dict "name" "routes" "path" "/etc/banyan/routes" "secret" (include "banyan.routes.secret" .)) }}{{ end -}}
{{- range $p := list "cluster" "nats" "leafnodes" "websocket" -}}
{{- $block := get $c $p -}}
{{- if and (dig "enabled" true $block) $block.tls.enabled -}}
{{- $m = append $m (dict "name" (printf "tls-%s" $p) "path" $block.tls.dir "secret" (include "banyan.tls.secret" (dict "top" $ "tls" $block.tls "protocol" $p))) -}}
{{- end -}}
{{- end -}}
{{- if $c.monitor.tokenSecret.name }}{{ $m = append $m (dict "name" "monitor-token" "path" "/etc/banyan/monitor" "secret" $c.monitor.tokenSecret.name) }}{{ end -}}
{{- $seen := dict -}}
{{- range $i, $f := $c.includes -}}
{{- if not (hasKey $seen $f.secretName) -}}
{{- $_ := set $seen $f.secretName true -}}
{{- $m = append $m (dict "name" (printf "include-%d" $i) "path" (printf "/etc/banyan/includes/%s" $f.secretName) "secret" $f.secretName) -}}
{{- end -}}
{{- end -}}
{{- range $i, $r := $c.leafnodes.remotes -}}
{{- $m = concat $m (include "banyan.mounts.remote" (dict "remote" $r "index" $i) | fromJsonArray) -}}
{{- end -}}
{{ toJson $m }}
{{- end }}

{{- define "banyan.mount.ca" -}}
{{- $ca := .Values.tlsCA -}}
{{- if and (not $ca.secretName) (not $ca.configMapName) }}{{ fail "tlsCA.enabled wants tlsCA.secretName or tlsCA.configMapName" }}{{ end -}}
{{- if $ca.secretName -}}
{{ toJson (dict "name" "tls-ca" "path" $ca.dir "secret" $ca.secretName) }}
{{- else -}}
{{ toJson (dict "name" "tls-ca" "path" $ca.dir "configMap" $ca.configMapName) }}
{{- end -}}
{{- end }}

{{/* What a hub that is dialed needs: dict remote, index. */}}
{{- define "banyan.mounts.remote" -}}
{{- $m := list -}}
{{- $dir := printf "/etc/banyan/remotes/%d" .index -}}
{{- $r := .remote -}}
{{- with $r.credentials }}{{ $m = append $m (dict "name" (printf "remote-%d-credentials" $.index) "path" (printf "%s/credentials" $dir) "secret" .secretName) }}{{ end -}}
{{- with $r.nkey }}{{ $m = append $m (dict "name" (printf "remote-%d-nkey" $.index) "path" (printf "%s/nkey" $dir) "secret" .secretName) }}{{ end -}}
{{- with $r.user }}{{ $m = append $m (dict "name" (printf "remote-%d-user" $.index) "path" (printf "%s/user" $dir) "secret" .secretName) }}{{ end -}}
{{- with $r.tls -}}{{- if and .enabled .secretName }}{{ $m = append $m (dict "name" (printf "remote-%d-tls" $.index) "path" (printf "%s/tls" $dir) "secret" .secretName) }}{{ end -}}{{- end -}}
{{ toJson $m }}
{{- end }}

{{/* volumeMounts and volumes of such a list. */}}
{{- define "banyan.volumeMounts" -}}
{{- range . }}
- name: {{ .name }}
  mountPath: {{ .path }}
  readOnly: true
{{- end }}
{{- end }}
{{- define "banyan.volumes" -}}
{{- range . }}
- name: {{ .name }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ .configMap }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Volumes for data: a list of {name, path, values}. */}}
{{- define "banyan.hubd.claims" -}}
{{- $c := .Values.config -}}
{{- $full := include "banyan.fullname" . -}}
{{- $claims := list -}}
{{- with $c.jetstream.fileStore -}}
{{- if .pvc.enabled }}{{ $claims = append $claims (dict "name" (.pvc.name | default (printf "%s-js" $full)) "path" .dir "pvc" .pvc) }}{{ end -}}
{{- end -}}
{{- with $c.resolver -}}
{{- if and .enabled .pvc.enabled }}{{ $claims = append $claims (dict "name" (.pvc.name | default (printf "%s-resolver" $full)) "path" .dir "pvc" .pvc) }}{{ end -}}
{{- end -}}
{{ toJson $claims }}
{{- end }}

{{- define "banyan.hubd.container" -}}
{{- $v := .Values.container -}}
{{- $c := .Values.config -}}
name: nats
{{ include "banyan.image.fields" (dict "top" . "image" $v.image) }}
command: [hubd]
args: [--config, /etc/nats-config/nats.conf]
ports:
  {{- range include "banyan.hubd.ports" . | fromJsonArray }}
  {{- $port := dict "name" .name "containerPort" .port "protocol" "TCP" }}
  - {{ toJson (mustMergeOverwrite $port (deepCopy (get $v.ports .name | default dict))) }}
  {{- end }}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: SERVER_NAME
    value: {{ printf "%s$(POD_NAME)" $c.serverNamePrefix | quote }}
  {{- with include "banyan.memoryLimit" $v }}
  - name: GOMEMLIMIT
    value: {{ . }}
  {{- end }}
  {{- if $c.cluster.enabled }}
  - name: HUBD_CLUSTER_PASSWORD_FILE
    value: /etc/banyan/routes/{{ $c.cluster.routeURLs.passwordKey }}
  {{- end }}
  {{- with $c.monitor.tokenSecret }}
  {{- if .name }}
  - name: HUBD_MONITOR_AUTH_TOKEN_FILE
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
      command: [hubd, drain, /var/run/nats/nats.pid]
{{ include "banyan.probes" (dict "top" . "container" $v) }}
volumeMounts:
  - name: run
    mountPath: /var/run/nats
  {{- include "banyan.volumeMounts" (include "banyan.hubd.mounts" . | fromJsonArray) | nindent 2 }}
  {{- range include "banyan.hubd.claims" . | fromJsonArray }}
  - name: {{ .name }}
    mountPath: {{ .path }}
  {{- end }}
  {{- if include "banyan.hubd.scratch" . }}
  - name: resolver
    mountPath: {{ $c.resolver.dir }}
  {{- end }}
{{- end }}

{{/* scratch: whether accounts are kept for the life of a pod only; other pods bring them back. The root file system is read-only. */}}
{{- define "banyan.hubd.scratch" -}}
{{- if and .Values.config.resolver.enabled (not .Values.config.resolver.pvc.enabled) }}true{{ end -}}
{{- end }}

{{- define "banyan.hubd.pod" -}}
metadata:
  labels:
    {{- include "banyan.podLabels" (dict "top" . "component" "hubd") | nindent 4 }}
  {{- $annotations := .Values.podTemplate.annotations }}
  {{- if .Values.podTemplate.configChecksumAnnotation }}
  {{- $annotations = merge (dict "checksum/config" (include "banyan.hubd.file" . | sha256sum)) $annotations }}
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
  terminationGracePeriodSeconds: {{ include "banyan.grace" (dict "top" . "drain" (get (include "banyan.hubd.config" . | fromJson) "lame_duck_duration" | toString) "path" "lame_duck_duration") }}
  {{- include "banyan.scheduling" (dict "top" . "component" "hubd" "podTemplate" .Values.podTemplate) | nindent 2 }}
  containers:
    -
      {{- include "banyan.object" (dict "doc" (include "banyan.hubd.container" .) "values" .Values.container) | nindent 6 }}
  volumes:
    - name: run
      emptyDir: {}
    {{- if include "banyan.hubd.scratch" . }}
    - name: resolver
      emptyDir: {}
    {{- end }}
    {{- include "banyan.volumes" (include "banyan.hubd.mounts" . | fromJsonArray) | nindent 4 }}
{{- end }}

{{- define "banyan.hubd.statefulSet" -}}
apiVersion: apps/v1
kind: StatefulSet
{{ include "banyan.metadata" (dict "top" . "component" "hubd" "name" (include "banyan.statefulSet.name" .)) }}
spec:
  replicas: {{ ternary (int .Values.config.cluster.replicas) 1 .Values.config.cluster.enabled }}
  serviceName: {{ include "banyan.headless.name" . }}
  podManagementPolicy: Parallel
  selector:
    matchLabels:
      {{- include "banyan.selectorLabels" (dict "top" . "component" "hubd") | nindent 6 }}
  template:
    {{- include "banyan.object" (dict "doc" (include "banyan.hubd.pod" .) "values" .Values.podTemplate) | nindent 4 }}
  {{- with include "banyan.hubd.claims" . | fromJsonArray }}
  volumeClaimTemplates:
    {{- range . }}
    -
      {{- include "banyan.object" (dict "doc" (include "banyan.claim" .) "values" .pvc) | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end }}

{{- define "banyan.claim" -}}
metadata:
  name: {{ .name }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .pvc.storageClassName }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .pvc.size | quote }}
{{- end }}
