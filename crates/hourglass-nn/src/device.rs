//! Which device trains. Weights are drawn, and features made, on the CPU whatever it is.

use candle_core::{Device, DeviceLocation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A device by name: `"cpu"`, `"cuda"` or `"cuda:1"`, `"metal"`, or `"auto"` for the first of CUDA,
/// Metal and CPU that is there.
///
/// Only the CPU promises the same bits everywhere; other devices add in an order of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum DeviceChoice {
    /// The best that this build and this machine have.
    Auto,
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA card, counted from 0.
    Cuda(usize),
    /// An Apple graphics processor.
    Metal,
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "metal" => Ok(DeviceChoice::Metal),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            _ => name
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| {
                    format!("`{name}` is no device: `auto`, `cpu`, `cuda:0` or `metal`")
                }),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> String {
        match choice {
            DeviceChoice::Auto => "auto".to_owned(),
            DeviceChoice::Cpu => "cpu".to_owned(),
            DeviceChoice::Cuda(number) => format!("cuda:{number}"),
            DeviceChoice::Metal => "metal".to_owned(),
        }
    }
}

impl DeviceChoice {
    /// Whether it is the processor, come what may.
    pub fn is_cpu(&self) -> bool {
        *self == DeviceChoice::Cpu
    }

    /// The device.
    ///
    /// # Errors
    /// [`Error::DeviceNotBuilt`] if this build can't drive it, [`Error::DeviceNotThere`] if the
    /// machine has none or it doesn't answer.
    pub fn open(self) -> Result<Device> {
        match self {
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Auto => {
                let others = [DeviceChoice::Cuda(0), DeviceChoice::Metal];
                let first = others.into_iter().find_map(|choice| choice.open().ok());
                Ok(first.unwrap_or(Device::Cpu))
            }
            DeviceChoice::Cuda(number) => {
                self.open_with("cuda", cfg!(feature = "cuda"), || Device::new_cuda(number))
            }
            DeviceChoice::Metal => {
                self.open_with("metal", cfg!(feature = "metal"), || Device::new_metal(0))
            }
        }
    }

    fn open_with(
        self,
        feature: &'static str,
        is_built: bool,
        open: impl FnOnce() -> candle_core::Result<Device>,
    ) -> Result<Device> {
        if !is_built {
            return Err(Error::DeviceNotBuilt { device: self.into(), feature });
        }
        open().map_err(|source| Error::DeviceNotThere { device: self.into(), source })
    }
}

/// The name of a device that is open, as a [`DeviceChoice`] has it.
pub fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { .. } => "metal".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (name, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
            ("metal", DeviceChoice::Metal),
        ] {
            let text = format!("\"{name}\"");
            assert_eq!(serde_json::from_str::<DeviceChoice>(&text).unwrap(), choice);
            assert_eq!(serde_json::to_string(&choice).unwrap(), text);
        }
        assert_eq!(DeviceChoice::try_from("cuda".to_owned()), Ok(DeviceChoice::Cuda(0)));
        let error = serde_json::from_str::<DeviceChoice>("\"gpu\"").unwrap_err().to_string();
        assert!(error.contains("`gpu` is no device"), "{error}");
        assert!(DeviceChoice::try_from("cuda:x".to_owned()).is_err());
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert!(DeviceChoice::Cpu.open().unwrap().is_cpu());
        assert_eq!(device_name(&DeviceChoice::default().open().unwrap()), "cpu");
        assert!(DeviceChoice::Auto.open().is_ok());
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn what_this_build_lacks_is_named_with_the_way_to_get_it() {
        let error = DeviceChoice::Cuda(0).open().unwrap_err().to_string();
        let expected = "`device` is `cuda:0`, which this program can't use\n\
                        hint: build it with `--features cuda`, or take `device = \"cpu\"`";
        assert_eq!(error, expected);
    }
}
