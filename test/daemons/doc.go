// Package daemons puts whole daemons together inside a test, from the text of a
// .conf file, for tests of what servers say to each other by way of the system account.
// Only tests import it.
package daemons
