// Package scenario holds the end-to-end scenarios that run short in test/e2e and long in test/soak.
package scenario
