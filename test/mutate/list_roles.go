package main

// roles are mutations of what a key may do.
var roles = []mutation{
	{
		name: "a key of a role that is not known is an admin's", promise: "a key does nothing that its role does not allow",
		dir: "internal/tenant",
		old: `admin := c.key.Role == store.RoleAdmin`,
		new: `admin := c.key.Role != store.RoleTenant`,
		run: "Role",
	},
	{
		name: "any key acts for any tenant", promise: "a tenant's key reaches its own tenant only (I20)",
		dir: "internal/tenant",
		old: `	case !who.Admin:`,
		new: `	case who.KeyID == "":`,
		run: "WhoMayAct",
	},
	{
		name: "an admin's key opens every file", promise: "no foreign byte without a key for content (I20)",
		dir: "internal/httpapi",
		old: `	if who.Acting && !who.OpensContent && `,
		new: `	if who.Acting && who.OpensContent && `,
		run: "TestGoldenExchanges/acting",
	},
	{
		name: "any key administers the server", promise: "a key does nothing that its role does not allow",
		dir: "internal/httpapi",
		old: `	if rt.Admin && !c.Who.Admin {`,
		new: `	if rt.Admin && c.Who.KeyID == "" {`,
		run: "TestGoldenExchanges/admin-refused",
	},
	{
		name: "an admin mints a key for anybody's files", promise: "no key mints one that opens more than itself",
		dir: "internal/httpapi/admin", in: "internal/httpapi",
		old: `	case !content && (fresh || owner == c.Who.Tenant && !c.Who.Acting):`,
		new: `	case !content:`,
		run: "TestGoldenExchanges/admin-minting",
	},
	{
		name: "metrics are for every key", promise: "on a network only operators read the metrics",
		dir: "internal/tenant",
		old: `		case err == nil && who.Operator:`,
		new: `		case err == nil:`,
		run: "Operators",
	},
	{
		name: "a proxy's callers are admins of a server without keys", promise: "without keys only the machine itself administers",
		dir: "internal/tenant",
		old: `		if r.Header.Get(name) != "" {
			return false
		}`,
		new: ``,
		run: "OnlyTheMachine",
	},
}
