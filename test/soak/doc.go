// Package soak holds the tests that take minutes: whole super-clusters under load while servers are killed, a million wrong
// bytes for every port, slow subscribers beside fast ones, an hour of mishaps. They have the build tag soak.
//
//	make soak                        all of them
//	make soak SOAK=Regions           one
//
// Environment: SOAK_COUNT messages of each publisher (100000), SOAK_RATE of each a second, SOAK_TIME of the random
// schedule of mishaps (30m), SOAK_MISHAPS a regular expression of their kinds, SOAK_SEED of what is random, SOAK_INPUTS hostile inputs for each port (1000000).
package soak
