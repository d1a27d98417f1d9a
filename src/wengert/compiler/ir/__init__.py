"""The compiler's two languages, `program` and `nest`: their grammars, printers, interpreters, and
what passes over them share."""
