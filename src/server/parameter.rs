//! Values that go with a statement, each with the type that the server is to take it as.

use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};

/// A value that goes with a statement. Its type goes with it too, so that a statement is one round trip: asking the
/// server which types it expects would be another.
pub(crate) trait Param: ToSql + Sync {
    /// As what the server is to take it.
    fn sent_as(&self) -> Type;
}

/// The server's type for every value of a Rust type.
trait SentAs {
    const TYPE: Type;
}

impl<T: SentAs + ToSql + Sync> Param for T {
    fn sent_as(&self) -> Type {
        T::TYPE
    }
}

/// A type that has an array type.
trait Element {
    const TYPE: Type;
    const ARRAY: Type;
}

impl<T: Element + ?Sized> Element for &T {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

impl<T: Element> SentAs for T {
    const TYPE: Type = T::TYPE;
}

impl<T: Element> SentAs for Option<T> {
    const TYPE: Type = T::TYPE;
}

impl<T: Element> SentAs for Vec<T> {
    const TYPE: Type = T::ARRAY;
}

impl<T: Element> SentAs for &[T] {
    const TYPE: Type = T::ARRAY;
}

macro_rules! elements {
    ($($rust:ty: $of:ident, $array:ident;)*) => {
        $(impl Element for $rust {
            const TYPE: Type = Type::$of;
            const ARRAY: Type = Type::$array;
        })*
    };
}

elements! {
    str: TEXT, TEXT_ARRAY;
    String: TEXT, TEXT_ARRAY;
    bool: BOOL, BOOL_ARRAY;
    i32: INT4, INT4_ARRAY;
    i64: INT8, INT8_ARRAY;
    f64: FLOAT8, FLOAT8_ARRAY;
    u32: OID, OID_ARRAY;
    Value: JSONB, JSONB_ARRAY;
}

pub(super) fn typed<'a>(params: &[&'a dyn Param]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params
        .iter()
        .map(|param| (*param as &(dyn ToSql + Sync), param.sent_as()))
        .collect()
}
