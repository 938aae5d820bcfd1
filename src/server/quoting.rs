//! Names and texts as SQL writes them.

/// An identifier as SQL writes it, always quoted.
pub(crate) fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name that SQL writes as `ident`, quoted or not.
pub(crate) fn unquote_ident(ident: &str) -> String {
    let quoted = ident.strip_prefix('"').and_then(|ident| ident.strip_suffix('"'));
    quoted.map_or_else(|| ident.to_owned(), |inner| inner.replace("\"\"", "\""))
}

/// A string as SQL writes it under `standard_conforming_strings`.
pub(crate) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
