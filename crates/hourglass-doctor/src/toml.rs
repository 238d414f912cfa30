//! Values of the pipeline file as TOML on one line, for cures that change part of a list.

use serde_json::Value;

/// A value as inline TOML; what is null is left out.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Object(table) => {
            let present = table.iter().filter(|(_, value)| !value.is_null());
            let pairs: Vec<String> =
                present.map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
        // Strings, numbers and booleans are written alike in both.
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_on_one_line() {
        let value = serde_json::json!([{ "knn": { "k": 3, "gone": null } }, { "mlp": {} }, "a"]);
        assert_eq!(inline(&value), "[{ knn = { k = 3 } }, { mlp = {} }, \"a\"]");
    }
}
