package pages

func rules(c *call) (answer, error) {
	f, err := c.frame("")
	if err != nil {
		return nil, err
	}
	return f.page("rules", f), nil
}
