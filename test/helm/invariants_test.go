package helm

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// TestInvariants holds of every set what has to hold of all, and of its names when the release's is as long as Helm allows.
func TestInvariants(t *testing.T) {
	long := strings.Repeat("x", 53)
	for _, s := range sets(t) {
		t.Run(s.name, func(t *testing.T) {
			r, err := render(long, s.values)
			if err != nil {
				t.Fatal(err)
			}
			(&checker{T: t, rendered: r}).names()
			r, err = render("banyan", s.values)
			if err != nil {
				t.Fatal(err)
			}
			c := &checker{T: t, rendered: r, external: s.external}
			c.names()
			c.nothingSecret()
			c.selectors()
			for _, w := range r.workloads() {
				c.security(w)
				c.memory(w)
				c.volumes(w)
				c.ports(w)
				c.leaving(w)
			}
			c.services()
		})
	}
}

type checker struct {
	*testing.T
	*rendered
	external []string
}

// names are such as Kubernetes takes, and nothing is there twice.
func (c *checker) names() {
	seen := map[string]bool{}
	for _, o := range c.objects {
		key := o.kind + " " + o.name
		if seen[key] {
			c.Errorf("%s is there twice", key)
		}
		seen[key] = true
		for _, e := range validation.IsDNS1123Subdomain(o.name) {
			c.Errorf("%s: %s", key, e)
		}
		if o.kind == "Service" {
			for _, e := range validation.IsDNS1035Label(o.name) {
				c.Errorf("%s: %s", key, e)
			}
		}
		// its pods have a label with its name and a hash
		if o.kind == "StatefulSet" && len(o.name) > 52 {
			c.Errorf("%s has %d characters, pods can only be made with 52", key, len(o.name))
		}
	}
	for _, w := range c.workloads() {
		for k, v := range w.labels {
			for _, e := range slices.Concat(validation.IsQualifiedName(k), validation.IsValidLabelValue(v)) {
				c.Errorf("%s %s: label %s: %s: %s", w.kind, w.name, k, v, e)
			}
		}
	}
}

// secrets are those of the test's values, and what looks like one.
var secrets = regexp.MustCompile(`(?i)s3cr|\bS[UACONX][A-Z2-7]{56}\b|PRIVATE KEY|://[^/@\s"]*:[^/@\s"]+@|(pass|password|token|seed)"?: "?[^{<$\s"][^\s]*`)

func (c *checker) nothingSecret() {
	for _, o := range c.objects {
		m, ok := o.typed.(*corev1.ConfigMap)
		if !ok || strings.HasSuffix(o.name, "-dashboards") {
			continue
		}
		if len(m.BinaryData) > 0 {
			c.Errorf("ConfigMap %s has binary data", o.name)
		}
		for k, text := range m.Data {
			if found := secrets.FindString(text); found != "" {
				c.Errorf("ConfigMap %s, %s: %q looks like a secret", o.name, k, found)
			}
		}
	}
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// selectors: a workload's own pods and no other's; policies and budgets meet pods.
func (c *checker) selectors() {
	all := c.workloads()
	for _, w := range all {
		for _, x := range all {
			if w.selector != nil && matches(w.selector, x.labels) != (w.name == x.name && w.kind == x.kind) {
				c.Errorf("%s %s selects the pods of %s %s: %v", w.kind, w.name, x.kind, x.name, matches(w.selector, x.labels))
			}
		}
	}
	met := func(what string, selector map[string]string) {
		if !slices.ContainsFunc(all, func(w workload) bool { return matches(selector, w.labels) }) {
			c.Errorf("%s selects no pods: %v", what, selector)
		}
	}
	for _, o := range c.objects {
		switch x := o.typed.(type) {
		case *policyv1.PodDisruptionBudget:
			met("PodDisruptionBudget "+o.name, x.Spec.Selector.MatchLabels)
		case *networkingv1.NetworkPolicy:
			met("NetworkPolicy "+o.name, x.Spec.PodSelector.MatchLabels)
			for _, rule := range x.Spec.Ingress {
				for _, p := range rule.Ports {
					for _, w := range all {
						if matches(x.Spec.PodSelector.MatchLabels, w.labels) && !w.hasPort(*p.Port) {
							c.Errorf("NetworkPolicy %s opens %s, which %s does not have", o.name, p.Port, w.name)
						}
					}
				}
			}
		case *podMonitor:
			met("PodMonitor "+o.name, x.Spec.Selector.MatchLabels)
		case *serviceMonitor:
			if !slices.ContainsFunc(c.objects, func(s object) bool {
				service, ok := s.typed.(*corev1.Service)
				return ok && matches(x.Spec.Selector.MatchLabels, service.Labels) && service.Labels["banyanmq.io/metrics"] != ""
			}) {
				c.Errorf("ServiceMonitor %s selects no service", o.name)
			}
		}
	}
	for _, w := range all {
		for _, s := range w.spec.TopologySpreadConstraints {
			if !matches(s.LabelSelector.MatchLabels, w.labels) {
				c.Errorf("%s spreads other pods than its own", w.name)
			}
		}
	}
}

// services lead to ports that their pods have.
func (c *checker) services() {
	for _, o := range c.objects {
		s, ok := o.typed.(*corev1.Service)
		if !ok {
			continue
		}
		selector := maps.Clone(s.Spec.Selector)
		delete(selector, "statefulset.kubernetes.io/pod-name")
		found := false
		for _, w := range c.workloads() {
			if !matches(selector, w.labels) {
				continue
			}
			found = true
			for _, p := range s.Spec.Ports {
				if !w.hasPort(p.TargetPort) {
					c.Errorf("service %s: %s has no port %s", o.name, w.name, p.TargetPort.String())
				}
			}
		}
		if !found {
			c.Errorf("service %s selects no pods", o.name)
		}
		if len(s.Spec.Ports) == 0 {
			c.Errorf("service %s has no ports", o.name)
		}
	}
}

func (w *workload) containers() []corev1.Container {
	return slices.Concat(w.spec.InitContainers, w.spec.Containers)
}

func (w *workload) hasPort(want intstr.IntOrString) bool {
	for _, c := range w.containers() {
		for _, p := range c.Ports {
			if want.Type == intstr.String && p.Name == want.StrVal || want.Type == intstr.Int && p.ContainerPort == want.IntVal {
				return true
			}
		}
	}
	return false
}

// security: what the restricted profile of Kubernetes asks for, and a root file system that nobody writes to.
func (c *checker) security(w workload) {
	pod := w.spec.SecurityContext
	if pod == nil || pod.RunAsNonRoot == nil || !*pod.RunAsNonRoot || pod.RunAsUser == nil || *pod.RunAsUser == 0 {
		c.Errorf("%s may run as root", w.name)
		return
	}
	if pod.SeccompProfile == nil || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		c.Errorf("%s has no seccomp profile", w.name)
	}
	if w.spec.AutomountServiceAccountToken == nil || *w.spec.AutomountServiceAccountToken {
		c.Errorf("%s is given a token for the API", w.name)
	}
	if w.spec.HostPID || w.spec.HostIPC || w.spec.ShareProcessNamespace != nil {
		c.Errorf("%s shares namespaces", w.name)
	}
	for _, k := range w.containers() {
		s := k.SecurityContext
		switch {
		case s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation:
			c.Errorf("%s/%s may gain privileges", w.name, k.Name)
		case s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem:
			c.Errorf("%s/%s may write to its root file system", w.name, k.Name)
		case s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0:
			c.Errorf("%s/%s keeps capabilities", w.name, k.Name)
		case s.Privileged != nil && *s.Privileged || s.RunAsUser != nil && *s.RunAsUser == 0:
			c.Errorf("%s/%s is privileged", w.name, k.Name)
		}
	}
}

// memory: daemons know a limit that is below the container's.
func (c *checker) memory(w workload) {
	for _, k := range w.containers() {
		limit, limited := k.Resources.Limits[corev1.ResourceMemory]
		if !limited {
			c.Errorf("%s/%s has no limit of memory", w.name, k.Name)
			continue
		}
		at := slices.IndexFunc(k.Env, func(e corev1.EnvVar) bool { return e.Name == "GOMEMLIMIT" })
		if at < 0 {
			if slices.Contains([]string{"nats", "gwd", "leafd"}, k.Name) {
				c.Errorf("%s/%s: GOMEMLIMIT is not set", w.name, k.Name)
			}
			continue
		}
		soft, err := resource.ParseQuantity(strings.TrimSuffix(k.Env[at].Value, "B"))
		if err != nil {
			c.Errorf("%s/%s: GOMEMLIMIT %s: %v", w.name, k.Name, k.Env[at].Value, err)
		} else if f := float64(soft.Value()) / float64(limit.Value()); f < 0.75 || f > 0.85 {
			c.Errorf("%s/%s: GOMEMLIMIT is %.2f of the limit", w.name, k.Name, f)
		}
	}
}

// keys of a Secret or ConfigMap of this release; ok is false when there is none.
func (c *checker) keys(kind, name string) (keys []string, ok bool) {
	o := c.find(kind, name)
	if o == nil {
		for _, x := range c.objects { // of cert-manager
			if cert, is := x.typed.(*certificate); is && kind == "Secret" && cert.Spec.SecretName == name {
				return []string{"tls.crt", "tls.key", "ca.crt"}, true
			}
		}
		return nil, false
	}
	switch x := o.typed.(type) {
	case *corev1.Secret:
		return slices.Concat(slices.Collect(maps.Keys(x.Data)), slices.Collect(maps.Keys(x.StringData))), true
	case *corev1.ConfigMap:
		return slices.Collect(maps.Keys(x.Data)), true
	}
	return nil, false
}

// exists: a Secret or ConfigMap, and a key of it, is made here or by somebody who was named.
func (c *checker) exists(who, kind, name, key string) {
	keys, ok := c.keys(kind, name)
	switch {
	case !ok && !slices.Contains(c.external, name):
		c.Errorf("%s wants %s %s, which nobody makes", who, kind, name)
	case ok && key != "" && !slices.Contains(keys, key):
		c.Errorf("%s wants key %s of %s %s, which has %v", who, key, kind, name, keys)
	}
}

// volumes: all are mounted, all mounts have one, and what settings and arguments name lies in one.
func (c *checker) volumes(w workload) {
	who := w.kind + " " + w.name
	volumes := map[string]corev1.Volume{}
	for _, v := range w.spec.Volumes {
		if _, twice := volumes[v.Name]; twice {
			c.Errorf("%s: volume %s is there twice", who, v.Name)
		}
		volumes[v.Name] = v
		if v.Secret != nil {
			c.exists(who, "Secret", v.Secret.SecretName, "")
			if v.Secret.DefaultMode == nil || *v.Secret.DefaultMode&0o007 != 0 {
				c.Errorf("%s: everybody may read volume %s", who, v.Name)
			}
			for _, it := range v.Secret.Items {
				c.exists(who, "Secret", v.Secret.SecretName, it.Key)
			}
		}
		if v.ConfigMap != nil {
			c.exists(who, "ConfigMap", v.ConfigMap.Name, "")
		}
	}
	for _, claim := range w.claims {
		volumes[claim.Name] = corev1.Volume{Name: claim.Name}
	}
	used := map[string]bool{}
	for _, k := range w.containers() {
		paths := map[string]bool{}
		for _, m := range k.VolumeMounts {
			if _, ok := volumes[m.Name]; !ok {
				c.Errorf("%s/%s mounts %s, which is no volume", who, k.Name, m.Name)
			}
			if paths[m.MountPath] {
				c.Errorf("%s/%s mounts two volumes at %s", who, k.Name, m.MountPath)
			}
			paths[m.MountPath], used[m.Name] = true, true
		}
		for _, e := range k.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				c.exists(who, "Secret", e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
			}
			if strings.HasPrefix(e.Value, "/etc/") {
				c.mounted(who, k, volumes, e.Value)
			}
		}
		for _, a := range k.Args {
			if strings.HasPrefix(a, "/etc/") {
				c.mounted(who, k, volumes, a)
			}
		}
		for _, f := range c.namedFiles(w, k) {
			c.mounted(who, k, volumes, f)
		}
	}
	for name := range volumes {
		if !used[name] {
			c.Errorf("%s: volume %s is mounted nowhere", who, name)
		}
	}
}

// mounted: a file lies in a volume, and the volume's source has it.
func (c *checker) mounted(who string, k corev1.Container, volumes map[string]corev1.Volume, file string) {
	for _, m := range k.VolumeMounts {
		if path.Dir(file) != strings.TrimSuffix(m.MountPath, "/") {
			continue
		}
		v := volumes[m.Name]
		switch {
		case v.Secret != nil:
			c.exists(who+": "+file, "Secret", v.Secret.SecretName, path.Base(file))
		case v.ConfigMap != nil:
			c.exists(who+": "+file, "ConfigMap", v.ConfigMap.Name, path.Base(file))
		}
		return
	}
	c.Errorf("%s/%s: %s lies in no volume", who, k.Name, file)
}

var etcFile = regexp.MustCompile(`/etc/[^\s"',}\]]+`)

// settings is the text of the settings of a container, "" of one that has none.
func (c *checker) settings(w workload, k corev1.Container) string {
	for i, a := range k.Args {
		if a != "--config" {
			continue
		}
		file := k.Args[i+1]
		for _, m := range k.VolumeMounts {
			if m.MountPath != path.Dir(file) {
				continue
			}
			for _, v := range w.spec.Volumes {
				switch {
				case v.Name == m.Name && v.ConfigMap != nil:
					return c.find("ConfigMap", v.ConfigMap.Name).typed.(*corev1.ConfigMap).Data[path.Base(file)]
				case v.Name == m.Name && v.Secret != nil:
					return c.find("Secret", v.Secret.SecretName).typed.(*corev1.Secret).StringData[path.Base(file)]
				}
			}
		}
	}
	return ""
}

func (c *checker) namedFiles(w workload, k corev1.Container) []string {
	return etcFile.FindAllString(c.settings(w, k), -1)
}

// ports: probes ask ports that are there, and no two have a name or a number.
func (c *checker) ports(w workload) {
	for _, k := range w.containers() {
		names, numbers := map[string]bool{}, map[int32]bool{}
		for _, p := range k.Ports {
			if names[p.Name] || numbers[p.ContainerPort] {
				c.Errorf("%s/%s: port %s %d is there twice", w.name, k.Name, p.Name, p.ContainerPort)
			}
			names[p.Name], numbers[p.ContainerPort] = true, true
			if errs := validation.IsValidPortName(p.Name); len(errs) > 0 {
				c.Errorf("%s/%s: port %s: %v", w.name, k.Name, p.Name, errs)
			}
			if text := c.settings(w, k); !regexp.MustCompile(`(:|port: )` + regexp.QuoteMeta(itoa(p.ContainerPort)) + `\b`).MatchString(text) {
				c.Errorf("%s/%s: nothing in the settings opens port %s %d", w.name, k.Name, p.Name, p.ContainerPort)
			}
		}
		daemon := k.Name == "nats" || k.Name == "gwd" || k.Name == "leafd"
		for what, probe := range map[string]*corev1.Probe{"startup": k.StartupProbe, "readiness": k.ReadinessProbe, "liveness": k.LivenessProbe} {
			if probe == nil {
				if daemon {
					c.Errorf("%s/%s has no %s probe", w.name, k.Name, what)
				}
				continue
			}
			if !names[probe.HTTPGet.Port.String()] {
				c.Errorf("%s/%s: the %s probe asks port %s, which is not there", w.name, k.Name, what, probe.HTTPGet.Port.String())
			}
		}
	}
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }

var (
	drainTime = regexp.MustCompile(`(?m)(?:lame_duck_duration: "|^  drain: )([0-9hms]+)`)
	pidFile   = regexp.MustCompile(`pid_file: "?([^\s"]+)`)
)

// leaving: who drains has longer than that before it is killed, and the hook finds the process.
func (c *checker) leaving(w workload) {
	for _, k := range w.containers() {
		text := c.settings(w, k)
		if text == "" {
			continue
		}
		pid := pidFile.FindStringSubmatch(text)
		if pid == nil {
			c.Errorf("%s/%s writes no pid file", w.name, k.Name)
			continue
		}
		if !slices.ContainsFunc(k.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path.Dir(pid[1]) && !m.ReadOnly }) {
			c.Errorf("%s/%s cannot write %s", w.name, k.Name, pid[1])
		}
		if k.Name == "leafd" {
			continue
		}
		m := drainTime.FindStringSubmatch(text)
		if m == nil {
			c.Errorf("%s/%s: no drain time in\n%s", w.name, k.Name, text)
			continue
		}
		drain, err := time.ParseDuration(m[1])
		grace := time.Duration(*w.spec.TerminationGracePeriodSeconds) * time.Second
		if err != nil || grace < drain+20*time.Second {
			c.Errorf("%s/%s: drains for %v and is killed after %v (%v)", w.name, k.Name, drain, grace, err)
		}
		hook := k.Lifecycle.PreStop.Exec.Command
		if len(hook) != 3 || hook[0] != k.Command[0] || hook[1] != "drain" || hook[2] != pid[1] {
			c.Errorf("%s/%s: before it stops it runs %v, and writes %s", w.name, k.Name, hook, pid[1])
		}
	}
}
