// Package agent is what lives on a target: it holds the lease, drives the roll-outs that were ordered, and tells what it
// sees. Two of its kind run beside each other in containers; one leads, the other stands by and takes over.
//
// Its commands, which the deployer calls through docker exec (all take -state DIR first):
//
//	serve   -environment ENV -project NAME          leads or stands by, until SIGTERM
//	order                                           an order (wire.Order) on standard input; prints its ID
//	put bundle                                      a tar on standard input; prints its digest, sha256:…
//	put secrets                                     wire.Secrets on standard input
//	status  [-json]                                 wire.Status
//	watch   [-id ID]                                wire.Event, one a line, until the order has its wire.Result
//	abort | pause | resume | promote  -actor -reason
//	history [-n N] [-json]                          wire.Deployment, the newest first; with -json one a line
//	verify  [-anchor HASH:N]                        the chain of the audit log
//	head                                            HASH:N, to be kept elsewhere
//	version
//
// Exit codes: 0 done · 1 a gate failed (order: busy, rolled back, chain damaged) · 2 usage or an invalid input · 3 it could
// not be found out · 130 interrupted.
package agent
