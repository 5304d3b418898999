{{/* Names, labels, and what all objects have in common. */}}

{{- define "banyan.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Names of a StatefulSet may have 52 characters, those of a Service 63: there has to be room for -gwd and for -leafd-metrics. */}}
{{- define "banyan.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 48 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 48 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "banyan.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "banyan.statefulSet.name" -}}{{ .Values.statefulSet.name | default (include "banyan.fullname" .) }}{{- end }}
{{- define "banyan.headless.name" -}}{{ .Values.headlessService.name | default (printf "%s-headless" (include "banyan.fullname" .)) }}{{- end }}
{{- define "banyan.service.name" -}}{{ .Values.service.name | default (include "banyan.fullname" .) }}{{- end }}
{{- define "banyan.config.name" -}}{{ .Values.configMap.name | default (printf "%s-config" (include "banyan.fullname" .)) }}{{- end }}
{{- define "banyan.cluster.name" -}}{{ .Values.config.cluster.name | default (include "banyan.fullname" .) }}{{- end }}
{{- define "banyan.gwd.name" -}}{{ printf "%s-gwd" (include "banyan.fullname" .) }}{{- end }}
{{- define "banyan.gwd.service.name" -}}{{ .Values.gwd.service.name | default (include "banyan.gwd.name" .) }}{{- end }}
{{- define "banyan.leafd.name" -}}{{ printf "%s-leafd" (include "banyan.fullname" .) }}{{- end }}
{{- define "banyan.leafd.service.name" -}}{{ .Values.leafd.service.name | default (include "banyan.leafd.name" .) }}{{- end }}
{{- define "banyan.box.name" -}}{{ printf "%s-box" (include "banyan.fullname" .) }}{{- end }}
{{- define "banyan.serviceAccount.name" -}}
{{- if .Values.serviceAccount.enabled }}{{ .Values.serviceAccount.name | default (include "banyan.fullname" .) }}{{ else }}default{{ end -}}
{{- end }}

{{/* selectorLabels of a component: dict top, component. */}}
{{- define "banyan.selectorLabels" -}}
app.kubernetes.io/name: {{ include "banyan.name" .top }}
app.kubernetes.io/instance: {{ .top.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "banyan.labels" -}}
{{ include "banyan.selectorLabels" . }}
app.kubernetes.io/part-of: banyan
app.kubernetes.io/version: {{ .top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .top.Chart.Name .top.Chart.Version | replace "+" "_" }}
{{- with .top.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of pods are those that stay as they are when the chart's version changes. */}}
{{- define "banyan.podLabels" -}}
{{ include "banyan.selectorLabels" . }}
app.kubernetes.io/part-of: banyan
{{- with .top.Values.global.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object: dict top, component, name, and perhaps annotations and labels. */}}
{{- define "banyan.metadata" -}}
metadata:
  name: {{ .name }}
  namespace: {{ include "banyan.namespace" .top }}
  labels:
    {{- include "banyan.labels" . | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* object prints a document after what values say: dict doc (YAML), values (with merge and patch). */}}
{{- define "banyan.object" -}}
{{- $o := fromYaml .doc -}}
{{- if hasKey $o "Error" }}{{ fail (printf "%s\n%s" $o.Error .doc) }}{{ end -}}
{{- $v := .values | default dict -}}
{{- with $v.merge }}{{ $o = mustMergeOverwrite $o (deepCopy .) }}{{ end -}}
{{- with $v.patch }}{{ $o = get (include "banyan.patch" (dict "node" $o "patch" .) | fromJson) "node" }}{{ end -}}
{{ toYaml $o }}
{{- end }}

{{/* settings does the same with a map, and prints JSON: dict node, values. */}}
{{- define "banyan.settings" -}}
{{- $o := .node -}}
{{- $v := .values | default dict -}}
{{- with $v.merge }}{{ $o = mustMergeOverwrite $o (deepCopy .) }}{{ end -}}
{{- with $v.patch }}{{ $o = get (include "banyan.patch" (dict "node" $o "patch" .) | fromJson) "node" }}{{ end -}}
{{ toJson $o }}
{{- end }}

{{/* patch applies JSON Patch operations: dict node, patch. It prints {"node": ...}. */}}
{{- define "banyan.patch" -}}
{{- $node := .node -}}
{{- range .patch -}}
{{- $path := splitList "/" (trimPrefix "/" .path) -}}
{{- $node = get (include "banyan.patch.at" (dict "node" $node "path" $path "op" .) | fromJson) "node" -}}
{{- end -}}
{{ toJson (dict "node" $node) }}
{{- end }}

{{- define "banyan.patch.at" -}}
{{- $node := .node -}}
{{- $op := .op -}}
{{- $key := first .path | replace "~1" "/" | replace "~0" "~" -}}
{{- $rest := rest .path -}}
{{- if kindIs "map" $node -}}
  {{- $new := dict -}}
  {{- range $k, $v := $node }}{{ $_ := set $new $k $v }}{{ end -}}
  {{- if and (not (hasKey $node $key)) (or $rest (ne $op.op "add")) }}{{ fail (printf "patch %s: there is no %q" $op.path $key) }}{{ end -}}
  {{- if $rest -}}
    {{- $sub := include "banyan.patch.at" (dict "node" (get $node $key) "path" $rest "op" $op) | fromJson -}}
    {{- $_ := set $new $key $sub.node -}}
  {{- else if eq $op.op "remove" -}}
    {{- $_ := unset $new $key -}}
  {{- else -}}
    {{- $_ := set $new $key $op.value -}}
  {{- end -}}
  {{- toJson (dict "node" $new) -}}
{{- else if kindIs "slice" $node -}}
  {{- $new := list -}}
  {{- $n := len $node -}}
  {{- $add := and (not $rest) (eq $op.op "add") -}}
  {{- $at := $n -}}
  {{- if not (and $add (eq $key "-")) -}}
    {{- if not (regexMatch "^[0-9]+$" $key) }}{{ fail (printf "patch %s: %q is no place in a list" $op.path $key) }}{{ end -}}
    {{- $at = int $key -}}
  {{- end -}}
  {{- if or (gt $at $n) (and (eq $at $n) (not $add)) }}{{ fail (printf "patch %s: the list has only %d entries" $op.path $n) }}{{ end -}}
  {{- range $i, $v := $node -}}
    {{- if ne $i $at -}}
      {{- $new = append $new $v -}}
    {{- else if $rest -}}
      {{- $sub := include "banyan.patch.at" (dict "node" $v "path" $rest "op" $op) | fromJson -}}
      {{- $new = append $new $sub.node -}}
    {{- else if eq $op.op "add" -}}
      {{- $new = concat $new (list $op.value $v) -}}
    {{- else if eq $op.op "replace" -}}
      {{- $new = append $new $op.value -}}
    {{- end -}}
  {{- end -}}
  {{- if eq $at $n }}{{ $new = append $new $op.value }}{{ end -}}
  {{- toJson (dict "node" $new) -}}
{{- else -}}
  {{- fail (printf "patch %s: %q stands in no map or list" $op.path $key) -}}
{{- end -}}
{{- end }}

{{/* seconds of a duration such as 1m30s: dict text, path. */}}
{{- define "banyan.seconds" -}}
{{- if not (regexMatch "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$" .text) }}{{ fail (printf "%s: want a duration of whole seconds such as 30s or 2m, got %q" .path .text) }}{{ end -}}
{{- $h := regexFind "[0-9]+h" .text | trimSuffix "h" | int -}}
{{- $m := regexFind "[0-9]+m" .text | trimSuffix "m" | int -}}
{{- $s := regexFind "[0-9]+s" .text | trimSuffix "s" | int -}}
{{ add (mul $h 3600) (mul $m 60) $s }}
{{- end }}

{{/* memoryLimit is GOMEMLIMIT of a container: its limits.memory and a percentage. Nothing without a limit. */}}
{{- define "banyan.memoryLimit" -}}
{{- $limits := (.resources | default dict).limits | default dict -}}
{{- with $limits.memory -}}
{{- $text := toString . -}}
{{- $n := regexFind "^[0-9]+(\\.[0-9]+)?" $text | float64 -}}
{{- $unit := regexReplaceAll "^[0-9]+(\\.[0-9]+)?" $text "" -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- if not (hasKey $units $unit) }}{{ fail (printf "limits.memory: want a quantity such as 512Mi or 2Gi, got %q" $text) }}{{ end -}}
{{ divf (mulf $n (get $units $unit) ($.goMemLimitPercent | float64)) 104857600.0 | floor | int64 }}MiB
{{- end -}}
{{- end }}

{{/* image: dict top, image. */}}
{{- define "banyan.image" -}}
{{- $registry := .image.registry | default .top.Values.global.image.registry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .top.Chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "banyan.image.fields" -}}
image: {{ include "banyan.image" . }}
{{- with .image.pullPolicy | default .top.Values.global.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* env is what values say, a map of texts and of maps, as a list. */}}
{{- define "banyan.env" -}}
{{- range $k := keys (. | default dict) | sortAlpha }}
{{- $v := get $ $k }}
- name: {{ $k }}
  {{- if kindIs "map" $v }}
  {{- toYaml $v | nindent 2 }}
  {{- else }}
  value: {{ toString $v | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* probes of a container: dict top, container, and perhaps host. All daemons serve the same paths. */}}
{{- define "banyan.probes" -}}
{{- if .top.Values.config.monitor.enabled }}
{{- $scheme := ternary "HTTPS" "HTTP" (and .top.Values.config.monitor.tls.enabled (not .plain)) }}
{{- $get := dict "port" "monitor" "scheme" $scheme }}
{{- with .host }}{{ $_ := set $get "host" . }}{{ end }}
{{- $startup := dict "httpGet" (merge (dict "path" "/healthz") $get) "periodSeconds" 2 "failureThreshold" 450 "timeoutSeconds" 5 }}
{{- $readiness := dict "httpGet" (merge (dict "path" "/readyz") $get) "periodSeconds" 10 "failureThreshold" 3 "timeoutSeconds" 5 }}
{{- $liveness := dict "httpGet" (merge (dict "path" "/livez") $get) "periodSeconds" 30 "failureThreshold" 3 "timeoutSeconds" 5 }}
startupProbe:
  {{- toYaml (mustMergeOverwrite $startup (deepCopy .container.startupProbe)) | nindent 2 }}
readinessProbe:
  {{- toYaml (mustMergeOverwrite $readiness (deepCopy .container.readinessProbe)) | nindent 2 }}
livenessProbe:
  {{- toYaml (mustMergeOverwrite $liveness (deepCopy .container.livenessProbe)) | nindent 2 }}
{{- end }}
{{- end }}

{{/* scheduling fields of a pod: dict top, component, podTemplate. */}}
{{- define "banyan.scheduling" -}}
{{- with .podTemplate.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .top.Values.global.image.pullSecretNames }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .podTemplate.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range $key := keys . | sortAlpha }}
  {{- $constraint := get $.podTemplate.topologySpreadConstraints $key }}
  {{- if $constraint }}
  - topologyKey: {{ $key }}
    {{- toYaml $constraint | nindent 4 }}
    labelSelector:
      matchLabels:
        {{- include "banyan.selectorLabels" $ | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- with .podTemplate.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .podTemplate.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .podTemplate.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .podTemplate.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* grace is terminationGracePeriodSeconds: dict top, drain (a duration), path. */}}
{{- define "banyan.grace" -}}
{{- add (include "banyan.seconds" (dict "text" .drain "path" .path)) (include "banyan.seconds" (dict "text" .top.Values.drain.overhead "path" "drain.overhead")) -}}
{{- end }}

{{/* A volume of a Secret, and its mount. Only the pod's group may read it. */}}
{{- define "banyan.volume.secret" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
{{- end }}
{{- define "banyan.mount" -}}
- name: {{ .name }}
  mountPath: {{ .path }}
  readOnly: true
{{- end }}

{{- define "banyan.volume.ca" -}}
{{- with .Values.tlsCA }}
- name: tls-ca
  {{- if .secretName }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ .configMapName }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The Secret with what the servers of a cluster show each other. */}}
{{- define "banyan.routes.secret" -}}
{{ .Values.config.cluster.routeURLs.secretName | default (printf "%s-routes" (include "banyan.fullname" .)) }}
{{- end }}
{{- define "banyan.leafd.clients.secret" -}}
{{ .Values.leafd.auth.secretName | default (printf "%s-clients" (include "banyan.leafd.name" .)) }}
{{- end }}

{{/* routes are the URLs of all hubs, this one among them. */}}
{{- define "banyan.routes" -}}
{{- $r := .Values.config.cluster.routeURLs -}}
{{- $host := include "banyan.headless.name" . -}}
{{- if $r.useFQDN }}{{ $host = printf "%s.%s.svc.%s" $host (include "banyan.namespace" .) $r.k8sClusterDomain }}{{ end -}}
{{- $urls := list -}}
{{- range $i := until (int .Values.config.cluster.replicas) -}}
{{- $urls = append $urls (printf "nats://%s-%d.%s:%d" (include "banyan.statefulSet.name" $) $i $host (int $.Values.config.cluster.port)) -}}
{{- end -}}
{{ toJson $urls }}
{{- end }}

{{/* tls.secret is the Secret of a tls block: dict top, tls, protocol. */}}
{{- define "banyan.tls.secret" -}}
{{- if .tls.secretName }}{{ .tls.secretName }}
{{- else if .tls.certManager.enabled }}{{ printf "%s-%s-tls" (include "banyan.fullname" .top) .protocol }}
{{- else }}{{ fail (printf "config.%s.tls.enabled wants a certificate: set config.%s.tls.secretName to a Secret of type kubernetes.io/tls, or config.%s.tls.certManager.enabled" .protocol .protocol .protocol) }}
{{- end -}}
{{- end }}

{{/* tls.conf is a native tls block as JSON: dict top, tls, mutual. */}}
{{- define "banyan.tls.conf" -}}
{{- $t := dict "cert_file" (printf "%s/%s" .tls.dir .tls.cert) "key_file" (printf "%s/%s" .tls.dir .tls.key) -}}
{{- if .top.Values.tlsCA.enabled }}{{ $_ := set $t "ca_file" (printf "%s/%s" .top.Values.tlsCA.dir .top.Values.tlsCA.key) }}
{{- else if .mutual }}{{ $_ := set $t "ca_file" (printf "%s/%s" .tls.dir .tls.ca) }}{{ end -}}
{{ include "banyan.settings" (dict "node" $t "values" .tls) }}
{{- end }}

{{/* tls.yaml is the same for gwd and leafd. */}}
{{- define "banyan.tls.yaml" -}}
{{- $t := dict "cert" (printf "%s/%s" .tls.dir .tls.cert) "key" (printf "%s/%s" .tls.dir .tls.key) -}}
{{- if .top.Values.tlsCA.enabled }}{{ $_ := set $t "ca" (printf "%s/%s" .top.Values.tlsCA.dir .top.Values.tlsCA.key) }}
{{- else }}{{ $_ := set $t "ca" (printf "%s/%s" .tls.dir .tls.ca) }}{{ end -}}
{{ toJson $t }}
{{- end }}

{{/* refuseClear fails when secrets stand in settings that everybody may read: dict node, path, advice. */}}
{{- define "banyan.refuseClear" -}}
{{- $found := include "banyan.clear" . | trim -}}
{{- if $found -}}
{{- fail (printf "a secret would stand in a ConfigMap in clear:\n  %s\n%s" ($found | replace "\n" "\n  ") .advice) -}}
{{- end -}}
{{- end }}

{{- define "banyan.clear" -}}
{{- if kindIs "map" .node -}}
  {{- range $k, $v := .node -}}
    {{- $p := printf "%s.%s" $.path $k | trimPrefix "." -}}
    {{- if and (not (has (kindOf $v) (list "map" "slice" "invalid"))) (has (lower $k) (list "pass" "password" "token" "monitor_token" "seed")) -}}
      {{- /* a password of digits alone is a number by now */ -}}
      {{- $text := toString $v -}}
      {{- if and $text (not (hasPrefix "<<" $text)) (not (hasPrefix "$2" $text)) }}{{ $p }}{{ "\n" }}{{ end -}}
    {{- else -}}
      {{- include "banyan.clear" (dict "node" $v "path" $p) -}}
    {{- end -}}
  {{- end -}}
{{- else if kindIs "slice" .node -}}
  {{- range $i, $v := .node }}{{ include "banyan.clear" (dict "node" $v "path" (printf "%s[%d]" $.path $i)) }}{{ end -}}
{{- else if kindIs "string" .node -}}
  {{- if regexMatch "(://([^/@\\s:]+|[^/@\\s:]*:[^/@\\s]+)@)|(^S[UACONX][A-Z2-7]{56}$)|(-----BEGIN [A-Z ]*(PRIVATE KEY|NKEY SEED)-----)" .node }}{{ .path }}{{ "\n" }}{{ end -}}
{{- end -}}
{{- end }}
