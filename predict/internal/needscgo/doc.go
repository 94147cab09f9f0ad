// Package needscgo stops a build without cgo with a line that says what is missing. Packages that call
// C import it.
package needscgo
