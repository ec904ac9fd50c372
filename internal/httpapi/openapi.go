package httpapi

// describe sends the OpenAPI document of the dialect that calls without a key speak here. It is for anybody, and changes
// with the server's version only.
func (c *call) describe() error {
	c.w.Header().Set("Cache-Control", "public, max-age=300")
	return c.json(c.Dialect.Description())
}
