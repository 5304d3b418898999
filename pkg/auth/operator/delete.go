package operator

import (
	"github.com/nats-io/jwt/v2"
)

// Delete takes accounts out of the store and ends their connections. The token
// is an order that an operator has signed itself.
func (o *Operator) Delete(token string) (operator string, deleted, failed int, err error) {
	operator, list, by, d, err := o.judgeOrder(token, true)
	if err != nil {
		return operator, 0, 0, err
	}
	for _, key := range list {
		if err := d.Delete(key, by); err != nil {
			failed++
			continue
		}
		deleted++
		o.removed(key)
	}
	o.share()
	return operator, deleted, failed, nil
}

// MergeDeletion is Delete for an order that another server has carried out: accounts
// whose tokens are newer than the order stay. It returns those that are gone.
func (o *Operator) MergeDeletion(token string) (gone []string, err error) {
	_, list, by, d, err := o.judgeOrder(token, false)
	if err != nil {
		return nil, err
	}
	for _, key := range list {
		was, err := d.Bury(key, by)
		if err != nil {
			return gone, err
		}
		if was {
			gone = append(gone, key)
			o.removed(key)
		}
	}
	if len(gone) > 0 {
		o.share()
	}
	return gone, nil
}

// judgeOrder reads an order. inTime: it has to be one that holds now.
func (o *Operator) judgeOrder(token string, inTime bool) (operator string, accounts []string, by Order, d Deleter, err error) {
	operator = "unknown"
	c, err := jwt.DecodeGeneric(token)
	if err != nil {
		return operator, nil, by, nil, errMalformed
	}
	operator, by = c.Subject, Order{token, c.IssuedAt}
	d, ok := o.o.Resolver.(Deleter)
	list, isList := c.Data["accounts"].([]any)
	vr := jwt.CreateValidationResults()
	c.Validate(vr)
	switch {
	case c.Issuer != c.Subject:
		return operator, nil, by, nil, errNotSelfSigned
	case !o.rules().trust.orders(c.Issuer):
		return operator, nil, by, nil, errNotTrusted
	case !ok || !d.MayDelete():
		return operator, nil, by, nil, errDeleteOff
	case !isList || vr.IsBlocking(inTime):
		return operator, nil, by, nil, errMalformed
	}
	for _, x := range list {
		key, _ := x.(string)
		if key == o.o.SystemAccount {
			return operator, nil, by, nil, errDeleteSystem
		}
		accounts = append(accounts, key)
	}
	return operator, accounts, by, d, nil
}

// removed ends the connections of an account that was deleted.
func (o *Operator) removed(key string) {
	o.mu.Lock()
	a := o.accounts[key]
	o.mu.Unlock()
	if a != nil {
		a.remove()
	}
}
