-- An intent's id begins with its saga's birth, too: what a saga has asked is found by the key.
drop index chassis.intents_saga;
