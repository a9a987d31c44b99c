//! Shipping's reactions: every input in every state as a table that is reviewed like code, and what each of them must stand.

saga::trials!("src/domain.table.txt", shipping::examples::examples());
