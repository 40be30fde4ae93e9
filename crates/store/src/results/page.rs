//! A page of results, of any kind and in any order.

use sqlx::{QueryBuilder, Sqlite};

use super::ResultPage;
use crate::Store;
use crate::error::Result;

impl Store {
    /// A page of what matches, and how many match in all; both of the same moment. `select` begins a query for what is
    /// named, `order` adds its order.
    pub(super) async fn page(
        &self,
        select: impl Fn(&str) -> QueryBuilder<Sqlite>,
        order: impl FnOnce(&mut QueryBuilder<Sqlite>),
        from: i64,
        size: i64,
    ) -> Result<ResultPage> {
        let mut moment = self.readers().begin().await?;
        let mut count = select("COUNT(*)");
        let count = count.build_query_scalar().fetch_one(&mut *moment).await?;
        let mut docs = Vec::new();
        if size > 0 && from < count {
            let mut page = select("doc");
            order(&mut page);
            page.push(" LIMIT ").push_bind(size);
            page.push(" OFFSET ").push_bind(from.max(0));
            docs = page.build_query_scalar().fetch_all(&mut *moment).await?;
        }
        moment.commit().await?;
        Ok(ResultPage { count, docs })
    }
}
