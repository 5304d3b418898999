{{/* A map as a native .conf file: dict map, indent. "<< x >>" is written as x, a key that ends in $include as an include. */}}
{{- define "banyan.conf" -}}
{{- range $k := keys .map | sortAlpha -}}
{{- $v := get $.map $k -}}
{{- if not (kindIs "invalid" $v) -}}
{{- $.indent }}{{ include "banyan.conf.entry" (dict "key" $k "value" $v "indent" $.indent) }}{{ "\n" }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "banyan.conf.entry" -}}
{{- if hasPrefix "$tplYaml" .key -}}
{{- fail (printf "config: %s is not known to this chart; write the settings themselves" .key) -}}
{{- else if hasSuffix "$include" .key -}}
include {{ toRawJson .value }}
{{- else -}}
{{- if regexMatch "^[A-Za-z_][A-Za-z0-9_.-]*$" .key }}{{ .key }}{{ else }}{{ toRawJson .key }}{{ end }}: {{ include "banyan.conf.value" . }}
{{- end -}}
{{- end }}

{{- define "banyan.conf.value" -}}
{{- $in := printf "%s  " .indent -}}
{{- if kindIs "map" .value -}}
{{- if .value }}{
{{ include "banyan.conf" (dict "map" .value "indent" $in) }}{{ .indent }}}{{ else }}{}{{ end }}
{{- else if kindIs "slice" .value -}}
{{- if .value }}[
{{ range .value }}{{ $in }}{{ include "banyan.conf.value" (dict "value" . "indent" $in) }}
{{ end }}{{ .indent }}]{{ else }}[]{{ end }}
{{- else if and (kindIs "string" .value) (regexMatch "^<<.*>>$" .value) -}}
{{ .value | trimPrefix "<<" | trimSuffix ">>" | trim }}
{{- else -}}
{{ toRawJson .value }}
{{- end -}}
{{- end }}
