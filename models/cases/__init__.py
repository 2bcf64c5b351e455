"""Cases: what analysts look into, one per owner, from its opening to an answer that teaches the score.

terms.py     when a case is opened (terms.toml, versioned)
machine.py   reasons, what each move needs, and the one place that writes moves
opening.py   what a scoring run does: opens, renews, tells of new evidence, follows owners that join
acting.py    what people do
queue.py     cases by money at stake x probability
history.py   what the score said and learnt, kept
"""
