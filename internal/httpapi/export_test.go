package httpapi

import (
	"maps"
	"slices"
)

// TableRoute is a route of the table, for the tests that must not miss one.
type TableRoute struct {
	Path    string
	Open    bool
	Admin   bool
	Methods []string
	// ActFor are the methods by which any admin may act for another tenant.
	ActFor []string
}

// Table returns every route of a mount that brings the given ones, with all methods that some dialect has there.
func Table(brought []Route) []TableRoute {
	var table []TableRoute
	for _, rt := range (&Mount{Routes: brought}).routes() {
		table = append(table, TableRoute{Path: rt.Path, Open: rt.Open, Admin: rt.Admin, Methods: slices.Sorted(maps.Keys(rt.Methods)), ActFor: rt.ActFor})
	}
	return table
}
