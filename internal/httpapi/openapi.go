package httpapi

// describe sends the OpenAPI document of the dialect that calls without a key speak here. It is for anybody, and changes
// with the server's version only.
func describe(c *Call) error {
	c.Header().Set("Cache-Control", "public, max-age=300")
	return c.JSON(c.Dialect.Description())
}
