// As run.c, in C++: what is taken is given back by destructors, and errors are exceptions.
//
//     g++ -std=c++17 -I"$(graphprune include)" run.cpp model.a -lpthread -ldl -lm -o run
#include <graphprune.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using Bytes = std::vector<unsigned char>;

class Model {
public:
    Model() : model_(gp_open(nullptr, 1, error_, sizeof error_)) {
        if (!model_) throw std::runtime_error(error_);
    }

    std::vector<gp_tensor> inputs() const {
        std::vector<gp_tensor> found;
        for (size_t i = 0; i < gp_inputs(model_.get()); i++) found.push_back(gp_input(model_.get(), 0, i));
        return found;
    }

    std::vector<gp_tensor> outputs() const {
        std::vector<gp_tensor> found;
        for (size_t i = 0; i < gp_outputs(model_.get()); i++) found.push_back(gp_output(model_.get(), 0, i));
        return found;
    }

    // One sample in, one out. Threads that run one model at once would have an arena each.
    std::vector<Bytes> run(const std::vector<Bytes> &inputs, int threads) {
        std::vector<const void *> from;
        std::vector<void *> to;
        std::vector<Bytes> results;
        for (const Bytes &input : inputs) from.push_back(input.data());
        for (const gp_tensor &output : outputs()) results.emplace_back(output.bytes);
        for (Bytes &result : results) to.push_back(result.data());
        arena_.resize(gp_arena_bytes(model_.get(), 0, 1, threads));
        if (gp_run(model_.get(), 0, 1, from.data(), to.data(), arena_.data(), threads, error_, sizeof error_))
            throw std::runtime_error(error_);
        return results;
    }

private:
    struct Close {
        void operator()(gp_model *model) const { gp_close(model); }
    };

    char error_[256];
    std::unique_ptr<gp_model, Close> model_;
    Bytes arena_;
};

int main() try {
    Model model;
    std::vector<Bytes> inputs;
    for (const gp_tensor &tensor : model.inputs()) {
        std::cerr << "input " << tensor.name << ": " << tensor.bytes << " bytes\n";
        inputs.emplace_back(tensor.bytes);
        if (!std::cin.read(reinterpret_cast<char *>(inputs.back().data()), std::streamsize(tensor.bytes)))
            throw std::runtime_error(std::string("stdin ends before input ") + tensor.name + " does");
    }
    for (const Bytes &output : model.run(inputs, 2)) std::fwrite(output.data(), 1, output.size(), stdout);
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
