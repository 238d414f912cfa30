//! Figures on MNIST itself; these run where `HOURGLASS_DATA_DIR` names a folder that holds it.

use hourglass_core::{Interrupt, Part, Seed, Silent};
use hourglass_data::{
    CatalogSource, DataConfig, Locations, Numeric, PreprocessConfig, SplitConfig,
};
use hourglass_features::Pca;

#[test]
fn thirty_principal_components_reconstruct_as_in_scikit_learn() {
    let Some(folder) = std::env::var_os("HOURGLASS_DATA_DIR") else { return };
    let locations = Locations::usual(Some(folder.as_ref()), true);
    let catalog = Some(CatalogSource { name: "mnist".to_owned(), task: None });
    let config = DataConfig { catalog, ..DataConfig::default() };
    let here = std::path::Path::new(".");
    let interrupt = Interrupt::new();
    let loaded =
        hourglass_data::load(&config, here, &locations, Seed::new(0), &Silent, &interrupt).unwrap();
    let preprocess = PreprocessConfig {
        numeric: Numeric::MinMax { range: [0.0, 1.0] },
        ..PreprocessConfig::default()
    };
    let split = SplitConfig::default();
    let samples =
        hourglass_data::prepare(&loaded, &split, &preprocess, Seed::new(0), 0).unwrap().samples;
    // from sklearn.decomposition import PCA
    // p = PCA(30, svd_solver="full").fit(train / 255)
    // def error(x): return ((x - p.inverse_transform(p.transform(x)))**2).sum(1).mean()
    // error(train / 255), error(test / 255) -> 14.207, 13.866
    // Hinton and Salakhutdinov (2006) print 13.87 for test.
    let pca = Pca::fit(samples.part(Part::TrainValidation), 30).unwrap();
    for (part, expected) in [(Part::TrainValidation, 14.207), (Part::Test, 13.866)] {
        let error = pca.squared_error(samples.part(part)).unwrap();
        assert!((error - expected).abs() < 0.01, "{part:?}: {error}");
    }
}
