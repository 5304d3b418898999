package host

import "slices"

// State is how a finding is to be taken.
type State string

// The states. Bad: the daemon will not do what its settings say. Warn: it will, but worse than it
// could, or not for ever. Unseen: this system does not show it.
const (
	OK     State = "ok"
	Warn   State = "warn"
	Bad    State = "error"
	Unseen State = "unseen"
)

// Finding is one thing that was looked at.
type Finding struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Found  string `json:"found"`
	Wanted string `json:"wanted,omitempty"`
	// Why says what comes of it; "" when nothing does.
	Why string `json:"why,omitempty"`
	// Change is how to change it, a line each.
	Change []string `json:"change,omitempty"`
	// Sysctl is the line for sysctl.d that changes it, "" if none does.
	Sysctl string `json:"sysctl,omitempty"`
}

// Count returns how many findings are in a state.
func Count(list []Finding, s State) int {
	n := 0
	for _, f := range list {
		if f.State == s {
			n++
		}
	}
	return n
}

// Sysctls returns the findings that a line in sysctl.d would change.
func Sysctls(list []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f Finding) bool { return f.Sysctl == "" })
}
