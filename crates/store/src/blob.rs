//! Large states as rows of 1 MiB: SQLite's limits and caches like them better than one huge value

use futures_util::{TryStream, TryStreamExt};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::Result;

/// Bytes of every chunk but the last.
const CHUNK: usize = 1 << 20;

/// The chunks of `state`, numbered from 0. An empty state has none.
pub(crate) fn chunks(state: &[u8]) -> impl Iterator<Item = (i64, Vec<u8>)> {
    (0..).zip(state.chunks(CHUNK).map(<[u8]>::to_vec))
}

/// Puts a state together again from rows (header, size, bytes), one a chunk and in order; `bytes` is NULL in the
/// one row of an empty state. No row: no state.
pub(crate) async fn collect<S>(mut rows: S) -> Result<Option<(i64, Vec<u8>)>>
where
    S: TryStream<Ok = SqliteRow, Error = sqlx::Error> + Unpin,
{
    let mut found = None;
    while let Some(row) = rows.try_next().await? {
        let (_, state) = match &mut found {
            Some(found) => found,
            none => {
                let size: i64 = row.try_get(1)?;
                none.insert((
                    row.try_get(0)?,
                    Vec::with_capacity(usize::try_from(size).unwrap_or(0)),
                ))
            }
        };
        if let Some(bytes) = row.try_get::<Option<&[u8]>, _>(2)? {
            state.extend_from_slice(bytes);
        }
    }
    Ok(found)
}
