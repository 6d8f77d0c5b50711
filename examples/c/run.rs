// As run.c, in Rust, without crates. The declarations are those of graphprune.h.
//
//     rustc run.rs -C link-arg=model.a -C link-arg=-lm -o run
use std::ffi::{c_char, c_int, c_void, CStr};
use std::io::{Read, Write};

#[repr(C)]
struct GpModel {
    _private: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct GpTensor {
    name: *const c_char,
    element_type: i32,
    rank: i32,
    shape: *const i64,
    bytes: usize,
}

extern "C" {
    fn gp_open(path: *const c_char, check: c_int, error: *mut c_char, error_bytes: usize) -> *mut GpModel;
    fn gp_inputs(model: *const GpModel) -> usize;
    fn gp_outputs(model: *const GpModel) -> usize;
    fn gp_input(model: *const GpModel, program: usize, number: usize) -> GpTensor;
    fn gp_output(model: *const GpModel, program: usize, number: usize) -> GpTensor;
    fn gp_arena_bytes(model: *const GpModel, program: usize, samples: i64, threads: c_int) -> usize;
    fn gp_run(
        model: *const GpModel,
        program: usize,
        samples: i64,
        inputs: *const *const c_void,
        outputs: *const *mut c_void,
        arena: *mut c_void,
        threads: c_int,
        error: *mut c_char,
        error_bytes: usize,
    ) -> c_int;
    fn gp_close(model: *mut GpModel);
}

const THREADS: c_int = 2;

/// An open model. Runs only read it, so threads may share it.
struct Model(*mut GpModel);

unsafe impl Send for Model {}
unsafe impl Sync for Model {}

impl Model {
    fn open() -> Result<Model, String> {
        let mut error = [0 as c_char; 256];
        let model = unsafe { gp_open(std::ptr::null(), 1, error.as_mut_ptr(), error.len()) };
        if model.is_null() { Err(text(&error)) } else { Ok(Model(model)) }
    }

    fn inputs(&self) -> Vec<GpTensor> {
        unsafe { (0..gp_inputs(self.0)).map(|i| gp_input(self.0, 0, i)).collect() }
    }

    fn outputs(&self) -> Vec<GpTensor> {
        unsafe { (0..gp_outputs(self.0)).map(|i| gp_output(self.0, 0, i)).collect() }
    }

    /// One sample in, one out; `arena` is kept by the caller from run to run.
    fn run(&self, inputs: &[Vec<u8>], arena: &mut Vec<u8>) -> Result<Vec<Vec<u8>>, String> {
        let mut results: Vec<Vec<u8>> = self.outputs().iter().map(|tensor| vec![0; tensor.bytes]).collect();
        let from: Vec<*const c_void> = inputs.iter().map(|input| input.as_ptr().cast()).collect();
        let to: Vec<*mut c_void> = results.iter_mut().map(|result| result.as_mut_ptr().cast()).collect();
        let mut error = [0 as c_char; 256];
        let failed = unsafe {
            arena.resize(gp_arena_bytes(self.0, 0, 1, THREADS), 0);
            let work = arena.as_mut_ptr().cast();
            gp_run(self.0, 0, 1, from.as_ptr(), to.as_ptr(), work, THREADS, error.as_mut_ptr(), error.len())
        };
        if failed == 0 { Ok(results) } else { Err(text(&error)) }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        unsafe { gp_close(self.0) }
    }
}

fn text(error: &[c_char]) -> String {
    unsafe { CStr::from_ptr(error.as_ptr()) }.to_string_lossy().into_owned()
}

fn work() -> Result<(), String> {
    let model = Model::open()?;
    let mut inputs = Vec::new();
    for tensor in model.inputs() {
        let name = unsafe { CStr::from_ptr(tensor.name) }.to_string_lossy();
        eprintln!("input {name}: {} bytes", tensor.bytes);
        let mut input = vec![0; tensor.bytes];
        std::io::stdin().read_exact(&mut input).map_err(|error| format!("input {name}: {error}"))?;
        inputs.push(input);
    }
    for output in model.run(&inputs, &mut Vec::new())? {
        std::io::stdout().write_all(&output).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn main() {
    if let Err(error) = work() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
