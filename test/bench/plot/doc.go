// Package plot draws a chart with two logarithmic axes as SVG, for figures that go over several powers of ten.
//
// The picture carries its own background and colours for light and dark surroundings, and tells its lines apart by shape and
// dashes as well as by colour, each with its name at its end. It imports the standard library alone.
//
//	svg := plot.Chart{Title: "cost of a message", X: "subscriptions", Y: "us", Series: series}.SVG()
package plot
