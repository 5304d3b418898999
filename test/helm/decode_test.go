package helm

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// types by apiVersion and kind. What is not here may not be rendered.
var types = map[string]func() any{
	"v1 ConfigMap":                            func() any { return &corev1.ConfigMap{} },
	"v1 Pod":                                  func() any { return &corev1.Pod{} },
	"v1 Secret":                               func() any { return &corev1.Secret{} },
	"v1 Service":                              func() any { return &corev1.Service{} },
	"v1 ServiceAccount":                       func() any { return &corev1.ServiceAccount{} },
	"apps/v1 DaemonSet":                       func() any { return &appsv1.DaemonSet{} },
	"apps/v1 Deployment":                      func() any { return &appsv1.Deployment{} },
	"apps/v1 StatefulSet":                     func() any { return &appsv1.StatefulSet{} },
	"networking.k8s.io/v1 Ingress":            func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1 NetworkPolicy":      func() any { return &networkingv1.NetworkPolicy{} },
	"policy/v1 PodDisruptionBudget":           func() any { return &policyv1.PodDisruptionBudget{} },
	"cert-manager.io/v1 Certificate":          func() any { return &certificate{} },
	"monitoring.coreos.com/v1 PodMonitor":     func() any { return &podMonitor{} },
	"monitoring.coreos.com/v1 ServiceMonitor": func() any { return &serviceMonitor{} },
	"monitoring.coreos.com/v1 PrometheusRule": func() any { return &prometheusRule{} },
}

// decode reads a manifest into its type. A field that the type does not have, and one
// that stands there twice, is an error.
func (o *object) decode() error {
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := yaml.Unmarshal(o.raw, &head); err != nil {
		return err
	}
	o.kind, o.name = head.Kind, head.Name
	fresh := types[head.APIVersion+" "+head.Kind]
	if fresh == nil {
		return fmt.Errorf("%s %s: no such type", head.APIVersion, head.Kind)
	}
	o.typed = fresh()
	if err := yaml.UnmarshalStrict(o.raw, o.typed); err != nil {
		return fmt.Errorf("%s %s: %w", head.Kind, head.Name, err)
	}
	return nil
}

// The parts of other projects' types that the chart uses, as their references have them.

type certificate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		SecretName string `json:"secretName"`
		IssuerRef  struct {
			Name  string `json:"name"`
			Kind  string `json:"kind"`
			Group string `json:"group"`
		} `json:"issuerRef"`
		Duration    metav1.Duration `json:"duration"`
		RenewBefore metav1.Duration `json:"renewBefore"`
		PrivateKey  struct {
			Algorithm      string `json:"algorithm"`
			Size           int    `json:"size"`
			RotationPolicy string `json:"rotationPolicy"`
		} `json:"privateKey"`
		Usages      []string `json:"usages"`
		DNSNames    []string `json:"dnsNames"`
		IPAddresses []string `json:"ipAddresses"`
	} `json:"spec"`
}

type endpoint struct {
	Port      string `json:"port"`
	Path      string `json:"path"`
	Interval  string `json:"interval"`
	Scheme    string `json:"scheme"`
	TLSConfig *struct {
		CA struct {
			Secret    *corev1.SecretKeySelector    `json:"secret"`
			ConfigMap *corev1.ConfigMapKeySelector `json:"configMap"`
		} `json:"ca"`
		ServerName string `json:"serverName"`
	} `json:"tlsConfig"`
	Authorization *struct {
		Type        string                   `json:"type"`
		Credentials corev1.SecretKeySelector `json:"credentials"`
	} `json:"authorization"`
	Relabelings []struct {
		SourceLabels []string `json:"sourceLabels"`
		TargetLabel  string   `json:"targetLabel"`
		Regex        string   `json:"regex"`
		Action       string   `json:"action"`
	} `json:"relabelings"`
}

type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobLabel            string               `json:"jobLabel"`
		Selector            metav1.LabelSelector `json:"selector"`
		PodMetricsEndpoints []endpoint           `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		JobLabel  string               `json:"jobLabel"`
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []endpoint           `json:"endpoints"`
	} `json:"spec"`
}

type prometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}

// workload is something that makes pods.
type workload struct {
	kind, name string
	replicas   int
	selector   map[string]string
	labels     map[string]string
	spec       corev1.PodSpec
	claims     []corev1.PersistentVolumeClaim
}

func (r *rendered) workloads() []workload {
	var list []workload
	for _, o := range r.objects {
		switch x := o.typed.(type) {
		case *appsv1.StatefulSet:
			list = append(list, workload{o.kind, o.name, int(*x.Spec.Replicas), x.Spec.Selector.MatchLabels, x.Spec.Template.Labels, x.Spec.Template.Spec, x.Spec.VolumeClaimTemplates})
		case *appsv1.Deployment:
			list = append(list, workload{o.kind, o.name, int(*x.Spec.Replicas), x.Spec.Selector.MatchLabels, x.Spec.Template.Labels, x.Spec.Template.Spec, nil})
		case *appsv1.DaemonSet:
			list = append(list, workload{o.kind, o.name, 1, x.Spec.Selector.MatchLabels, x.Spec.Template.Labels, x.Spec.Template.Spec, nil})
		case *corev1.Pod:
			list = append(list, workload{o.kind, o.name, 1, nil, x.Labels, x.Spec, nil})
		}
	}
	return list
}

func (r *rendered) workload(name string) *workload {
	for _, w := range r.workloads() {
		if w.name == name {
			return &w
		}
	}
	return nil
}
