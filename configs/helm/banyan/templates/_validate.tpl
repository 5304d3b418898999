{{/* What a schema cannot say: contradictions, and what is not here. */}}
{{- define "banyan.validate" -}}
{{- $c := .Values.config -}}
{{- if $c.jetstream.enabled -}}
{{- fail "config.jetstream.enabled: hubd has no streams yet. Leave it off; config.jetstream.fileStore.pvc.enabled claims the volumes now, because a StatefulSet cannot get them later." -}}
{{- end -}}
{{- if hasKey $c.merge "jetstream" }}{{ fail "config.merge.jetstream: hubd has no streams yet; take the block out" }}{{ end -}}
{{- if or $c.mqtt.enabled (hasKey $c.merge "mqtt") }}{{ fail "config.mqtt: hubd does not speak MQTT yet; take it out" }}{{ end -}}
{{- if hasKey $c.merge "gateway" }}{{ fail "config.merge.gateway: gateways are gwd's affair here: set config.gateway.enabled, config.gateway.remotes and config.gateway.credentials (the chart's README has a table)" }}{{ end -}}
{{- if .Values.promExporter.enabled }}{{ fail "promExporter.enabled: no exporter is needed, the daemons serve /metrics themselves: set metrics.podMonitor.enabled instead" }}{{ end -}}
{{- if .Values.reloader.enabled }}{{ fail "reloader.enabled: no sidecar is needed, the daemons watch their files themselves: take the block out, and see config.reload.watch" }}{{ end -}}
{{- if and (not $c.cluster.enabled) $c.gateway.enabled }}{{ fail "config.gateway.enabled wants config.cluster.enabled: gwd joins the hubs by routes" }}{{ end -}}
{{- if and $c.cluster.routeURLs.password $c.cluster.routeURLs.secretName }}{{ fail "config.cluster.routeURLs: password and secretName exclude each other" }}{{ end -}}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled }}{{ fail "metrics: podMonitor and serviceMonitor would scrape everything twice; enable one of them" }}{{ end -}}
{{- if and (or .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled) (not $c.monitor.enabled) }}{{ fail "metrics wants config.monitor.enabled: /metrics is served there" }}{{ end -}}
{{- if and $c.monitor.tls.enabled (or .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled) (not .Values.tlsCA.enabled) }}{{ fail "metrics with config.monitor.tls.enabled wants tlsCA: Prometheus has to verify the certificates" }}{{ end -}}
{{- if and $c.monitor.tls.enabled (not $c.nats.tls.enabled) }}{{ fail "config.monitor.tls.enabled wants config.nats.tls.enabled, whose certificate it shows" }}{{ end -}}
{{- if and $c.monitor.tls.enabled $c.gateway.enabled (not $c.gateway.tls.enabled) (not $c.cluster.tls.enabled) }}{{ fail "config.monitor.tls.enabled wants config.gateway.tls.enabled or config.cluster.tls.enabled, whose certificate gwd shows" }}{{ end -}}
{{- with $c.websocket.ingress -}}
{{- if and .enabled (not $c.websocket.enabled) }}{{ fail "config.websocket.ingress.enabled wants config.websocket.enabled" }}{{ end -}}
{{- if and .enabled (not .hosts) }}{{ fail "config.websocket.ingress.hosts: under which names?" }}{{ end -}}
{{- end -}}
{{- if $c.gateway.enabled -}}
{{- if not $c.gateway.remotes }}{{ fail "config.gateway.remotes: which regions are there? Name them all, the own may be among them: [{name: ams, urls: [nats://gw.ams.example.net:7222]}]" }}{{ end -}}
{{- $names := list -}}
{{- range $c.gateway.remotes -}}
{{- if has .name $names }}{{ fail (printf "config.gateway.remotes: region %s is there twice" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $own := $c.gateway.name | default (include "banyan.cluster.name" .) -}}
{{- if ne $own (include "banyan.cluster.name" .) }}{{ fail (printf "config.gateway.name %s and config.cluster.name %s have to be equal" $own (include "banyan.cluster.name" .)) }}{{ end -}}
{{- if and (eq (len $names) 1) (has $own $names) }}{{ fail (printf "config.gateway.remotes: %s is this region itself; name the others too" $own) }}{{ end -}}
{{- if and (not $c.gateway.advertise) (or .Values.gwd.container.hostPort.enabled (ne .Values.gwd.service.type "ClusterIP")) -}}
{{- fail "config.gateway.advertise: under which host:port do other regions reach this one? Without it they are told the addresses of pods. $(HOST_IP) and $(POD_NAME) may stand in it." -}}
{{- end -}}
{{- if and (eq .Values.gwd.kind "Deployment") (contains "$(POD_NAME)" $c.gateway.advertise) }}{{ fail "config.gateway.advertise: with $(POD_NAME) pods need lasting names: set gwd.kind: StatefulSet" }}{{ end -}}
{{- end -}}
{{- if not .Values.hubd.enabled -}}
{{- if $c.gateway.enabled }}{{ fail "config.gateway.enabled wants hubd.enabled: gwd joins the hubs by routes" }}{{ end -}}
{{- if not .Values.leafd.enabled }}{{ fail "hubd.enabled: without hubs there is only leafd; set leafd.enabled and leafd.upstreams" }}{{ end -}}
{{- end -}}
{{- if and .Values.leafd.enabled (not .Values.leafd.upstreams) (not (hasKey .Values.leafd.config "upstreams")) $c.leafnodes.enabled $c.leafnodes.tls.enabled (not .Values.tlsCA.enabled) }}{{ fail "leafd wants tlsCA: no public authority signs the name of a service, so that it could not verify config.leafnodes.tls" }}{{ end -}}
{{- if and .Values.leafd.enabled (not .Values.leafd.upstreams) (not (hasKey .Values.leafd.config "upstreams")) (not (and .Values.hubd.enabled $c.leafnodes.enabled)) }}{{ fail "leafd.upstreams: which hubs are to be dialed? Without any it is this release's own, which wants config.leafnodes.enabled" }}{{ end -}}
{{- range $i, $f := $c.includes -}}
{{- if or (not $f.secretName) (not $f.key) }}{{ fail (printf "config.includes[%d]: wants secretName and key" $i) }}{{ end -}}
{{- end -}}
{{- $drain := include "banyan.seconds" (dict "text" (get (include "banyan.hubd.config" . | fromJson) "lame_duck_duration" | toString) "path" "lame_duck_duration") | int -}}
{{- if lt $drain 30 }}{{ fail (printf "drain.duration: %ds is too short, 30s is the least" $drain) }}{{ end -}}
{{- if ge (include "banyan.seconds" (dict "text" .Values.drain.grace "path" "drain.grace") | int) $drain }}{{ fail (printf "drain.grace: %s has to be below drain.duration" .Values.drain.grace) }}{{ end -}}
{{- end }}
