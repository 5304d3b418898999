//go:build !unix

package metrics

func maxFiles() (float64, bool) { return 0, false }
